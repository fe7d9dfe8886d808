//! Statements of the checklist.
