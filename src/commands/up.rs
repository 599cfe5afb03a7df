//! `viscount up`: everything in one process.

use std::process::ExitCode;

use viscount_chassis::{auth::Role, config::Env};

use super::{import, token};
use crate::{
    failure::Failure,
    home::Home,
    stack::{Part, Stack},
};

/// Runs until somebody stops it.
pub async fn run(env: &Env) -> Result<ExitCode, Failure> {
    let home = Home::open(env)?;
    let stack = start(env, &home).await?;
    tell(&stack, &home);
    serve(stack).await
}

/// Starts everything; the first time, with the demo catalogue.
pub async fn start(env: &Env, home: &Home) -> Result<Stack, Failure> {
    let stack = Stack::start(env, home, &Part::ALL).await?;
    if let Some(admin) = &stack.first_admin {
        println!("first start: administrator {} with password {}", admin.email, admin.password);
        println!("             (shown this once; only its hash is kept)");
    }
    if !home.has_catalogue() {
        // A start that was interrupted may have left some of it: what is there is skipped, the rest is brought in.
        if products(stack.url()).await? <= import::DEMO_PRODUCTS {
            let token = token::sign(env, home, Role::Admin, None, 10)?;
            let summary = import::demo_catalogue(stack.url(), &token).await?;
            println!("first start: {summary}");
        }
        home.note_catalogue()?;
    }
    Ok(stack)
}

/// Waits for the end, and ends in order.
pub async fn serve(mut stack: Stack) -> Result<ExitCode, Failure> {
    let outcome = stack.until_stopped().await;
    eprintln!("viscount: stopping");
    let drained = stack.drain().await;
    // Why it ends says more than what went wrong on the way out.
    outcome.and(drained).map(|()| ExitCode::SUCCESS)
}

/// How many products the shop has, as far as one page tells.
async fn products(url: &str) -> Result<usize, Failure> {
    let response = reqwest::get(format!("{url}/v1/products?limit=200")).await?.error_for_status()?;
    let page: serde_json::Value = response.json().await?;
    Ok(page["items"].as_array().map_or(0, Vec::len))
}

fn tell(stack: &Stack, home: &Home) {
    let url = stack.url();
    println!("First Viscount is up: {url}   (API: {url}/docs)");
    for (name, address) in &stack.endpoints.services {
        println!("  {name:<10} {address}");
    }
    println!("  {:<10} {}", "postgres", stack.endpoints.database);
    println!("  {:<10} {}", "data", home.root().display());
    println!("try:");
    println!("  curl '{url}/v1/products?limit=3'");
    println!("  TOKEN=$(viscount token --role customer)");
    println!(
        "  curl -H \"Authorization: Bearer $TOKEN\" -H \"Idempotency-Key: $(date +%s%N)\" -H 'Prefer: wait=5' --json \
         '{{\"lines\":[{{\"product_id\":\"…\",\"quantity\":1}}],\"payment\":{{\"method\":\"card\",\"token\":\"tok_visa\"}}}}' {url}/v1/orders"
    );
}
