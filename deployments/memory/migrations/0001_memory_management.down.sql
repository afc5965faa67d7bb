-- Takes away exactly what the way forward added. What was archived is exported first by the data-preserving rollback.
DROP TABLE memory_feature_use;
DROP TABLE memory_archive;
