-- Takes away exactly what the way forward added; the indexes go with their table.
DROP TABLE consciousness_turn_meta;
