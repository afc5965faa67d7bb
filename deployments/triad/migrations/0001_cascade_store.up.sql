-- chrysalis: expand
-- What the cascade keeps: its frameworks, every operation, the states the instances agreed on, what was measured, what alerted.
CREATE TABLE framework_registry (
    framework_id text PRIMARY KEY,
    layer        text        NOT NULL CHECK (layer IN ('R1', 'R2', 'R3', 'R4', 'R5', 'R6')),
    enabled      boolean     NOT NULL DEFAULT true,
    priority     integer     NOT NULL,
    pattern      text        NOT NULL DEFAULT '',
    registered   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE operation_history (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "timestamp"        timestamptz      NOT NULL DEFAULT now(),
    operation          text             NOT NULL,
    framework_id       text             NOT NULL,
    instance           text             NOT NULL,
    layer              text             NOT NULL,
    duration_ms        double precision NOT NULL CHECK (duration_ms >= 0),
    burden_saved_hours double precision NOT NULL,
    success            boolean          NOT NULL,
    trace_id           text             NOT NULL,
    metadata           jsonb            NOT NULL DEFAULT '{}'
);
CREATE INDEX operation_history_by_time ON operation_history ("timestamp" DESC);
CREATE INDEX operation_history_by_trace ON operation_history (trace_id);

CREATE TABLE consensus_measurements (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "timestamp" timestamptz      NOT NULL DEFAULT now(),
    topology    text             NOT NULL,
    instance    text             NOT NULL,
    state       double precision NOT NULL,
    error       double precision NOT NULL CHECK (error >= 0)
);
CREATE INDEX consensus_measurements_by_time ON consensus_measurements ("timestamp" DESC);

CREATE TABLE performance_metrics (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "timestamp"         timestamptz      NOT NULL DEFAULT now(),
    layer               text             NOT NULL,
    instance            text             NOT NULL,
    amplification_ratio double precision NOT NULL,
    burden_saved_hours  double precision NOT NULL
);
CREATE INDEX performance_metrics_by_time ON performance_metrics (layer, "timestamp" DESC);

CREATE TABLE alert_history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "timestamp" timestamptz NOT NULL DEFAULT now(),
    alert       text        NOT NULL,
    priority    text        NOT NULL CHECK (priority IN ('P0', 'P1', 'P2')),
    description text        NOT NULL,
    resolved    timestamptz
);
CREATE INDEX alert_history_by_priority ON alert_history (priority, "timestamp" DESC);
