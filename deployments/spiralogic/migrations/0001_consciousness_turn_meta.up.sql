-- chrysalis: expand
-- The document's 20250901_consciousness_turn_meta.sql: one row per answered turn, asked by the gates and the dashboards.
CREATE TABLE consciousness_turn_meta (
    id                bigserial PRIMARY KEY,
    created_at        timestamptz NOT NULL DEFAULT now(),
    user_id           text NOT NULL,
    orchestrator      text NOT NULL CHECK (orchestrator IN ('spiralogic', 'baseline')),
    orchestrator_mode text NOT NULL CHECK (orchestrator_mode IN ('full', 'lite', 'fallback', 'baseline')),
    top_resonance     text,
    resonance         jsonb NOT NULL DEFAULT '{}',
    metadata          jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX idx_ctm_user_created ON consciousness_turn_meta (user_id, created_at DESC);
CREATE INDEX idx_ctm_top_resonance ON consciousness_turn_meta (top_resonance);
-- Every question of the gates is about one orchestrator and the time just past.
CREATE INDEX idx_ctm_orchestrator_created ON consciousness_turn_meta (orchestrator, created_at DESC);
