-- What counts in budgets that all replicas share, until when.
CREATE TABLE budget_marks (
    key TEXT COLLATE "C" NOT NULL,
    mark TEXT COLLATE "C" NOT NULL,
    count BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL,
    PRIMARY KEY (key, mark)
);
CREATE INDEX budget_marks_ends ON budget_marks (ends_ms);
