//! Invoices of a real shop as traffic, and the reconciliation of what came of them with the file.
//!
//! Each invoice of an "Online Retail" CSV is an order of its customer with its real lines; invoices that begin with C
//! take back what others sold, as cancellations or refunds. What is planned ([`plan`]) and how the books compare
//! ([`reconcile`]) is pure. The amounts on the platform's side are read back from it, not taken from what was sent.
//!
//! The file's customers are far more than need accounts here (each costs two slow password hashes): they share the
//! accounts of the run, always the same customer the same account. With as many accounts as customers each has one.

mod amount;
mod catalogue;
mod drive;
mod file;
mod plan;
mod read_back;
mod reason;
mod reconcile;
mod report;
pub mod sender;

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use futures_util::future::try_join_all;
use http::HeaderValue;
use jiff::civil::DateTime;
use uuid::Uuid;

pub use drive::Driven;
pub use report::Outcome;

use self::{
    catalogue::Catalogue,
    file::Invoices,
    plan::{Fate, Plan, Product, Step},
    reason::Reason,
    reconcile::Placed,
    sender::Sender,
};
use crate::{
    client::{
        customers::Customers,
        pool::Pool,
        shop,
        wire::{Connection, Target},
    },
    failure::Failure,
    measure::recorder::Recorder,
    stop::Stop,
};

/// What a replay is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file, .csv or .csv.gz.
    pub file: PathBuf,
    /// The first so many invoices of it.
    pub invoices: usize,
    /// So many times faster than it happened; as fast as it goes when absent.
    pub speed: Option<f64>,
    /// Invoices under way at once.
    pub in_flight: usize,
    /// The payment token.
    pub payment: String,
}

/// A replay, ready to be driven.
pub struct Replay {
    settings: Settings,
    file: Invoices,
    catalogue: Catalogue,
    plan: Plan,
    /// Known customers of the file, numbered in the order in which they appear.
    customers: HashMap<String, usize>,
    /// Whether goods were received for every piece that is ordered: then none can be missing.
    received: Cell<bool>,
}

impl Replay {
    /// Reads the file, looks at the catalogue, plans.
    pub async fn prepare(target: &Target, settings: Settings) -> Result<Self, Failure> {
        let file = file::read(&settings.file, settings.invoices)?;
        let catalogue = Catalogue::look(target, &file.invoices).await?;
        if catalogue.products.is_empty() {
            return Err(Failure::Other(format!(
                "none of the file's products is in the catalogue: `viscount import {}` puts them there",
                settings.file.display()
            )));
        }
        let plan = plan::plan(&file.invoices, &catalogue.offers);
        let mut customers = HashMap::new();
        for customer in file.invoices.iter().filter_map(|invoice| invoice.customer.as_ref()) {
            let number = customers.len();
            customers.entry(customer.clone()).or_insert(number);
        }
        Ok(Self { settings, file, catalogue, plan, customers, received: Cell::new(false) })
    }

    /// How many customers of the file have a number: with as many accounts each has one.
    pub fn customers(&self) -> usize {
        self.customers.len()
    }

    /// Receives the goods that the orders need, so that none is rejected for want of them.
    pub async fn receive_goods(&self, target: &Target, admin_token: &str) -> Result<(), Failure> {
        let bearer: HeaderValue = format!("Bearer {admin_token}")
            .parse()
            .map_err(|_| Failure::Other("--admin-token is not a token".to_owned()))?;
        let mut needed: BTreeMap<Product, i64> = BTreeMap::new();
        for (product, pieces) in self.plan.orders.iter().flat_map(|order| &order.goods) {
            *needed.entry(*product).or_default() += pieces;
        }
        let needed: Vec<_> = needed.into_iter().collect();
        // Each lane has a connection and every so-manieth product.
        let lanes = (0..SIDE_BY_SIDE).map(|lane| {
            let (bearer, needed) = (&bearer, needed.iter().skip(lane).step_by(SIDE_BY_SIDE));
            async move {
                let mut connection = Connection::new(target);
                for (product, pieces) in needed {
                    let pieces = u32::try_from(*pieces).unwrap_or(u32::MAX).min(MOST_RECEIVED);
                    shop::receive(&mut connection, bearer, self.catalogue.products[*product], pieces).await?;
                }
                Ok::<(), Failure>(())
            }
        });
        try_join_all(lanes).await?;
        self.received.set(true);
        Ok(())
    }

    /// Makes all requests.
    pub async fn drive(
        &self,
        target: &Target,
        customers: &Customers,
        recorder: &Rc<Recorder>,
        stop: &Stop,
    ) -> Driven {
        let sender = self.sender(target, customers, Some(recorder.clone()), stop);
        let run = Uuid::new_v4().simple().to_string();
        drive::drive(self, sender, &run[..12], stop).await
    }

    /// Reads everything back, and compares.
    pub async fn reconcile(
        &self,
        target: &Target,
        customers: &Customers,
        driven: Driven,
        stop: &Stop,
    ) -> Result<Outcome, Failure> {
        let sender = self.sender(target, customers, None, stop);
        let asked = reconcile::asked_back(&self.plan, &driven.returned);
        let orders = driven.orders.iter().zip(asked);
        let accepted: Vec<_> =
            orders.filter_map(|(order, asked)| Some((order.as_ref()?.as_ref().ok()?, asked))).collect();
        let mut facts = read_back::read_back(&sender, &self.catalogue, &accepted).await?.into_iter();
        let placed: Vec<Placed> = driven
            .orders
            .iter()
            .map(|order| match order {
                None => Placed::Not(Reason::NotReplayed),
                Some(Err(reason)) => Placed::Not(reason.clone()),
                Some(Ok(_)) => facts
                    .next()
                    .map_or(Placed::Not(Reason::NotReplayed), |facts| Placed::Order(Box::new(facts))),
            })
            .collect();
        let received = self.received.get();
        let compared =
            reconcile::reconcile(&self.file.invoices, &self.plan, &placed, &driven.returned, received);
        Ok(Outcome::new(self, customers.count(), &driven, compared))
    }

    fn sender(
        &self,
        target: &Target,
        customers: &Customers,
        recorder: Option<Rc<Recorder>>,
        stop: &Stop,
    ) -> Sender {
        let pool = Pool::new(target, self.settings.in_flight.max(32));
        Sender { pool, customers: customers.clone(), recorder, stop: stop.clone() }
    }

    /// Stock codes of lines that would have been sold, if the catalogue had them.
    fn missing(&self) -> usize {
        let fates = self.file.invoices.iter().zip(&self.plan.fates);
        let lines = fates.flat_map(|(invoice, fates)| invoice.lines.iter().zip(fates));
        let missing =
            lines.filter(|(line, fate)| line.quantity > 0 && **fate == Fate::Unused(Reason::NotInCatalogue));
        missing.map(|(line, _)| line.code.as_str()).collect::<HashSet<_>>().len()
    }

    /// Whose account an invoice's order belongs to.
    fn account(&self, invoice: usize, accounts: usize) -> usize {
        let customer =
            self.file.invoices[invoice].customer.as_ref().and_then(|customer| self.customers.get(customer));
        customer.copied().unwrap_or(invoice) % accounts.max(1)
    }

    /// When each step is due, when the file's time is kept.
    fn offsets(&self) -> Option<Vec<Duration>> {
        let speed = self.settings.speed?;
        let mut first: Option<DateTime> = None;
        let mut latest = Duration::ZERO;
        let due = self.plan.steps.iter().map(|step| {
            let invoice = match *step {
                Step::Order(order) => self.plan.orders[order].invoice,
                Step::Reversal(reversal) => self.plan.reversals[reversal].invoice,
            };
            if let Some(at) = self.file.invoices[invoice].at {
                let since = at.duration_since(*first.get_or_insert(at));
                let since = Duration::try_from(since).unwrap_or_default();
                // The order of the file is kept, whatever its dates say.
                latest = latest.max(since.div_f64(speed));
            }
            latest
        });
        Some(due.collect())
    }
}

/// So many products receive goods side by side.
const SIDE_BY_SIDE: usize = 32;
/// The most pieces that inventory receives at once.
const MOST_RECEIVED: u32 = 1_000_000_000;
