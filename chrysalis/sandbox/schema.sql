-- The tables that the service fills and the SQL gates ask. `schema_migrations` belongs to the migrator.
CREATE TABLE IF NOT EXISTS system_health (
    id               bigserial PRIMARY KEY,
    "timestamp"      timestamptz NOT NULL DEFAULT now(),
    version          text NOT NULL,
    side             text NOT NULL,
    user_id          text NOT NULL,
    coherence_ratio  double precision NOT NULL,
    paradox_count    integer NOT NULL,
    symbolic_entropy double precision NOT NULL,
    field_weather    text NOT NULL,
    aether_weight    double precision NOT NULL,
    response_ms      double precision NOT NULL,
    error            boolean NOT NULL
);
CREATE INDEX IF NOT EXISTS system_health_by_time ON system_health ("timestamp", version);

CREATE TABLE IF NOT EXISTS resonance_events (
    id          bigserial PRIMARY KEY,
    "timestamp" timestamptz NOT NULL DEFAULT now(),
    version     text NOT NULL,
    side        text NOT NULL,
    event_type  text NOT NULL,
    user_id     text NOT NULL,
    quality     double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS resonance_events_by_type ON resonance_events (event_type, "timestamp");

CREATE OR REPLACE VIEW current_health AS
SELECT version,
       side,
       max("timestamp")                              AS "timestamp",
       avg(coherence_ratio)                          AS coherence_ratio,
       avg(symbolic_entropy)                         AS symbolic_entropy,
       avg(response_ms)                              AS response_ms,
       avg(error::int)                               AS error_ratio,
       mode() WITHIN GROUP (ORDER BY field_weather)  AS field_weather,
       count(*)                                      AS requests
FROM system_health
WHERE "timestamp" > now() - interval '60 seconds'
GROUP BY version, side;
