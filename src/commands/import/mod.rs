//! `viscount import`: products of a file, put into a running shop through the gateway.
//!
//! Reading is pure (files to products and refusals); then each product is created and its goods are booked, many at
//! once. All of it can be repeated: what is there already is left alone, and an import that broke off is carried on.

mod file;
mod invoices;
mod json;
mod price;
mod reading;
mod report;
mod shop;

use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use uuid::Uuid;
use viscount_chassis::{auth::Role, config::Env};
use viscount_contracts::{Currency, UserId};

pub use report::Summary;

use self::{
    reading::{Found, Reading, Refused},
    shop::{Put, Shop},
};
use super::token;
use crate::{cli::ImportArgs, failure::Failure, home::Home};

/// The project's own small shop.
const CATALOGUE: &str = include_str!("../../../assets/catalogue.json");

/// Who imports. Always the same: idempotency keys are kept for each caller.
const IMPORTER: Uuid = Uuid::from_u128(0x0199_0000_0000_7000_8000_696d_706f_7274);

/// Minutes that an import may take.
const MINUTES: u32 = 240;

/// Imports a file; an error when not every usable product is in the shop afterwards.
pub async fn run(args: ImportArgs, env: &Env) -> Result<(), Failure> {
    let started = Instant::now();
    let reading = file::read(&args.file, args.currency)?;
    let home = Home::open(env)?;
    let url = match args.url {
        Some(url) => url,
        None => home.endpoints()?.gateway.ok_or_else(|| {
            Failure::Usage("the platform of VISCOUNT_DATA_DIR runs without a gateway: say --url".to_owned())
        })?,
    };
    let token = token::sign(env, &home, Role::Admin, Some(UserId::from(IMPORTER)), MINUTES)?;
    let shop = Shop::open(&url, &token).await?;

    let mut summary = Summary::default();
    let outcome = put_all(&shop, &reading, args.stock, args.concurrency.into(), &mut summary).await;
    summary.seconds = started.elapsed().as_secs_f64();
    let written = report::write(&args.report, &reading, &summary)?;
    let report = written.then_some(args.report.as_path());
    // A reader who has gone away has seen enough.
    let _ = report::tell(&mut std::io::stdout(), &args.file, report, &reading, &summary);
    outcome?;
    match summary.refused.len() {
        0 => Ok(()),
        count => {
            Err(Failure::Other(format!("{count} of {} products are not in the shop", reading.products.len())))
        }
    }
}

/// How many products the project's own catalogue has.
pub const DEMO_PRODUCTS: usize = 24;

/// Fills a new shop with the project's own catalogue.
pub async fn demo_catalogue(gateway: &str, token: &str) -> Result<Summary, Failure> {
    let started = Instant::now();
    let reading =
        json::read(CATALOGUE, Currency::GBP).map_err(|error| Failure::doing("the catalogue", error))?;
    let shop = Shop::open(gateway, token).await?;
    let mut summary = Summary::default();
    put_all(&shop, &reading, 100, 8, &mut summary).await?;
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

/// Puts all products into the shop. Stops at the first that gets no answer: what is there stays, and the next import
/// carries on.
async fn put_all(
    shop: &Shop,
    reading: &Reading,
    stock: u32,
    at_once: usize,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let bar = progress(reading.products.len());
    let puts = stream::iter(&reading.products).map(|found| async move {
        let put = shop.put(&found.product, found.product.stock.unwrap_or(stock)).await?;
        Ok::<_, Failure>((found, put))
    });
    let outcome = puts
        .buffer_unordered(at_once)
        .try_for_each(|(found, put)| {
            bar.inc(1);
            summary.count(found, put);
            std::future::ready(Ok(()))
        })
        .await;
    bar.finish_and_clear();
    outcome
}

impl Summary {
    fn count(&mut self, found: &Found, put: Put) {
        match put {
            Put::Made => self.made += 1,
            Put::AlreadyThere => self.already_there += 1,
            Put::Refused(why) => self.refused.push(Refused {
                line: found.line,
                reason: "refused by the shop".into(),
                detail: Some(why),
                content: found.product.sku.clone(),
            }),
        }
    }
}

/// Drawn on standard error, and only when that is a terminal.
fn progress(products: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(products as u64), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:40} {pos}/{len} products, {per_sec}, {eta} to go") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
