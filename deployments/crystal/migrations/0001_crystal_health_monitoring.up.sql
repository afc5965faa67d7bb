-- What phase 1 adds so that the rollout can be watched: an index per question that the gates ask, and a view per dashboard.
CREATE INDEX system_health_by_side_time ON system_health (side, "timestamp" DESC);
CREATE INDEX resonance_events_by_side_time ON resonance_events (side, event_type, "timestamp" DESC);

CREATE VIEW crystal_health_48h AS
SELECT side,
       avg(coherence_ratio)         AS avg_coherence,
       count(DISTINCT user_id)      AS active_users,
       sum(paradox_count)           AS total_paradoxes,
       avg(symbolic_entropy)        AS avg_symbolic_entropy,
       avg(aether_weight)           AS avg_aether_weight
FROM system_health
WHERE "timestamp" > now() - interval '48 hours'
GROUP BY side;

CREATE VIEW coherence_by_hour AS
SELECT date_trunc('hour', "timestamp") AS hour,
       side,
       avg(coherence_ratio)            AS avg_coherence,
       avg(error::int)                 AS error_ratio
FROM system_health
WHERE "timestamp" > now() - interval '24 hours'
GROUP BY hour, side;

CREATE VIEW emergence_by_hour AS
SELECT date_trunc('hour', "timestamp") AS hour,
       side,
       count(*)                        AS emergence_count,
       avg(quality)                    AS avg_quality
FROM resonance_events
WHERE event_type = 'emergence'
GROUP BY hour, side;
