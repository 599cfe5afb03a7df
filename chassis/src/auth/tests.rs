//! Tests of the token check.
