-- Takes away exactly what the way forward added; no row of the service is touched.
DROP VIEW emergence_by_hour;
DROP VIEW coherence_by_hour;
DROP VIEW crystal_health_48h;
DROP INDEX resonance_events_by_side_time;
DROP INDEX system_health_by_side_time;
