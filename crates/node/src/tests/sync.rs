//! Answers about headers.
