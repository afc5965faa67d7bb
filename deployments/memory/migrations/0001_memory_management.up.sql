-- chrysalis: expand
-- What Phase 3 writes beside what is there: what was archived, and which of its features were used by whom.
CREATE TABLE memory_archive (
    id             bigserial PRIMARY KEY,
    archived_at    timestamptz NOT NULL DEFAULT now(),
    memory_id      text NOT NULL,
    original_bytes bigint NOT NULL CHECK (original_bytes > 0),
    stored_bytes   bigint NOT NULL CHECK (stored_bytes >= 0),
    checksum       text NOT NULL
);
CREATE INDEX memory_archive_by_time ON memory_archive (archived_at DESC);
CREATE INDEX memory_archive_by_memory ON memory_archive (memory_id);

CREATE TABLE memory_feature_use (
    id      bigserial PRIMARY KEY,
    used_at timestamptz NOT NULL DEFAULT now(),
    user_id text NOT NULL,
    feature text NOT NULL CHECK (feature IN ('none', 'cost_optimization', 'analytics', 'archival'))
);
CREATE INDEX memory_feature_use_by_time ON memory_feature_use (used_at DESC, feature, user_id);
