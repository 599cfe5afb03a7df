//! The auditor: rebuilds everything from the events alone and compares.
