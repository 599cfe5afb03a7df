//! Invoices of a real shop as traffic, and the reconciliation of what came of them with the file.

mod amount;
mod file;
mod plan;
mod reason;
