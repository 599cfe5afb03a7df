//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, value_parser};

/// Closed-loop order traffic against a running platform, followed to the final status of every order.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// The gateway.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Clients, each with a connection of its own.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u32).range(1..=20_000))]
    pub clients: u32,
    /// Customers whose orders these are; made for this run.
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u32).range(1..=1_000))]
    pub customers: u32,
    /// Seconds of load; a request under way at the end is waited for.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..))]
    pub duration: u64,
    /// Stop after so many accepted or refused orders instead.
    #[arg(long)]
    pub orders: Option<u64>,
    /// Only so many products of the catalogue: the fewer, the more orders want the same ones.
    #[arg(long)]
    pub products: Option<usize>,
    /// The payment token of every order.
    #[arg(long, default_value = "tok_visa")]
    pub payment: String,
    /// What the random baskets begin from: the same seed, clients and catalogue make the same baskets.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// An administrator's token: receives goods before the load, so that nothing runs out.
    #[arg(long)]
    pub admin_token: Option<String>,
    /// Pieces of each product to receive, with --admin-token.
    #[arg(long, default_value_t = 1_000_000, value_parser = value_parser!(u32).range(1..=100_000_000))]
    pub restock: u32,
    /// Seconds from an order's acceptance within which it has to be final.
    #[arg(long, default_value_t = 30)]
    pub final_within: u64,
    /// Processes of the platform, whose CPU time and memory are measured, with those named postgres below them.
    #[arg(long)]
    pub pid: Vec<u32>,
    /// Where to write the figures as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

impl Args {
    /// How long an order may take to its final status.
    pub fn final_within(&self) -> Duration {
        Duration::from_secs(self.final_within)
    }
}
