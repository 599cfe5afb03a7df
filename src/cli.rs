//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use uuid::Uuid;
use viscount_chassis::auth::Role;
use viscount_contracts::{Currency, Topic};

use crate::{
    commands::{Begin, OpsArgs},
    stack::Part,
};

/// First Viscount: an order platform that does not oversell, charge twice or lose an accepted order.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    /// What to do; `up` when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process and keep its data in VISCOUNT_DATA_DIR.
    Up,
    /// Bring everything up, place real orders and show each of their states as it comes.
    Demo(DemoArgs),
    /// Run only these services, in one process.
    Serve {
        /// Which.
        #[arg(required = true)]
        parts: Vec<Part>,
    },
    /// Make databases and roles and bring their tables up to date.
    Migrate,
    /// Import products into a running platform: a JSON catalogue, or a CSV of invoice lines (also .gz).
    Import(ImportArgs),
    /// Sign an access token with the local development key.
    Token(TokenArgs),
    /// Look at events, and make projections anew from them.
    Events {
        /// What to do with them.
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Look at dead letters, and have them handled once more.
    Dlq {
        /// What to do with them.
        #[command(subcommand)]
        command: DlqCommand,
    },
    /// Look at the actors of the running platform, at why they fell, and let an entity out of quarantine.
    Actors {
        /// What to do with them.
        #[command(subcommand)]
        command: ActorsCommand,
    },
    /// Have things go wrong in the running platform, where VISCOUNT_FAULTS=1 allows it.
    Faults {
        /// What to do with them.
        #[command(subcommand)]
        command: FaultsCommand,
    },
    /// Check the platform's promises over all databases; exits 1 and tells each violation.
    Audit(AuditArgs),
    /// Why is this order not finished? What it waits for, since when, what could explain it, and what happened so far.
    Why(WhyArgs),
    /// Watch the running platform in the terminal: services, actors, lag, orders that are not finished.
    Top(TopArgs),
    /// Ask one address whether it is ready; exits 0 when it is.
    Health(HealthArgs),
    /// Run a server that the platform needs, by itself; or say what this program was built with.
    Dev {
        /// Which.
        #[command(subcommand)]
        command: DevCommand,
    },
}

/// `dev`
#[derive(Debug, Subcommand)]
pub enum DevCommand {
    /// A private PostgreSQL in the foreground; one line of JSON says where it is once it is ready.
    Postgres(DevPostgresArgs),
    /// A private Kafka broker in the foreground, alone or one of several; needs a JDK and Maven.
    #[cfg(feature = "kafka")]
    Kafka(DevKafkaArgs),
    /// Which features this program was built with, as JSON.
    Features,
}

/// `dev postgres`
#[derive(Debug, Args)]
pub struct DevPostgresArgs {
    /// Folder of the server; made when missing. The data stays there.
    #[arg(long)]
    pub data: PathBuf,
    /// Port on loopback; 0 takes the one of the last run, or any free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Connections that it accepts.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=2_000))]
    pub connections: u32,
}

/// `dev kafka`
#[cfg(feature = "kafka")]
#[derive(Debug, Args)]
pub struct DevKafkaArgs {
    /// Folder of the broker; made when missing. The data stays there.
    #[arg(long)]
    pub data: PathBuf,
    /// Port on loopback; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Where clients are told to connect, when a proxy stands in front of it.
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Its number among the voters.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub node: u16,
    /// All brokers of the cluster, each with the port of its controller: 1@9001,2@9002,3@9003. Alone when absent.
    #[arg(long, value_name = "NODE@PORT,…", value_delimiter = ',', value_parser = voter)]
    pub voters: Vec<(u16, u16)>,
    /// Write each message to the disk before it is acknowledged.
    #[arg(long)]
    pub flush: bool,
}

#[cfg(feature = "kafka")]
fn voter(text: &str) -> Result<(u16, u16), String> {
    let parsed = text.split_once('@').and_then(|(node, port)| Some((node.parse().ok()?, port.parse().ok()?)));
    parsed.ok_or_else(|| "it is a broker's number and its controller's port, such as 1@9001".to_owned())
}

/// `demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Check the results, stop and exit: 0 when all is as it should be.
    #[arg(long)]
    pub exit: bool,
}

/// `import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A .json, .csv or .csv.gz file.
    pub file: PathBuf,
    /// Pieces of each new product to receive into stock.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub stock: u32,
    /// Currency of the prices in the file.
    #[arg(long, default_value = "GBP")]
    pub currency: Currency,
    /// Where to list what was refused.
    #[arg(long, default_value = "import-report.csv")]
    pub report: PathBuf,
    /// The gateway; that of the platform running on VISCOUNT_DATA_DIR when absent.
    #[arg(long)]
    pub url: Option<String>,
    /// Requests under way at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub concurrency: u16,
}

/// `why`
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The order.
    pub order: Uuid,
    /// Print the answer as it came, for programs.
    #[arg(long)]
    pub json: bool,
    /// Which platform, and who asks.
    #[command(flatten)]
    pub ops: OpsArgs,
}

/// `token`
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// What the bearer may do.
    #[arg(long)]
    pub role: Role,
    /// Whom it speaks for; a new user when absent.
    #[arg(long)]
    pub subject: Option<Uuid>,
    /// Minutes that it is good for.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=525_600))]
    pub minutes: u32,
}

/// `events`
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Print events and go on as they come.
    Tail(TailArgs),
    /// Make a projection anew from the events alone, and put right what differs; the platform may be running.
    Replay(ReplayArgs),
}

/// `events tail`
#[derive(Debug, Args)]
pub struct TailArgs {
    /// Which topic: orders, inventory, payments, catalog, identity.
    #[arg(long)]
    pub topic: Topic,
    /// Where to begin: behind a position, at the `beginning`, at the `end`, or at a time (RFC 3339).
    #[arg(
        long,
        default_value = "beginning",
        value_name = "POSITION|beginning|end|TIME",
        allow_negative_numbers = true
    )]
    pub from: Begin,
    /// Only of this aggregate.
    #[arg(long)]
    pub key: Option<Uuid>,
    /// How to show an event's data.
    #[arg(long, default_value = "json")]
    pub decode: Decode,
    /// Stop at the end instead of waiting for more.
    #[arg(long)]
    pub once: bool,
    /// From where: the publisher's database, or the brokers that KAFKA_BROKERS names.
    #[arg(long, default_value = "store")]
    pub source: EventSource,
}

/// Where events are read.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EventSource {
    /// In the database of their publisher: all that is committed, in the order of the positions.
    Store,
    /// From the brokers: what consumers get, in order per key.
    Broker,
}

/// `events replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Whose: orders, payments, catalog.
    #[arg(long)]
    pub service: Topic,
    /// Which: orders or price-book of orders, payments of payments, products of catalog.
    #[arg(long)]
    pub projection: String,
    /// Only tell what differs.
    #[arg(long)]
    pub dry_run: bool,
}

/// `actors`
#[derive(Debug, Subcommand)]
pub enum ActorsCommand {
    /// Show the supervision trees.
    Tree {
        /// Only this service's: orders, inventory, payments, catalog, identity, coordination.
        #[arg(long)]
        service: Option<String>,
        /// As the services answer it.
        #[arg(long)]
        json: bool,
        /// Where the platform is, and who asks.
        #[command(flatten)]
        ops: OpsArgs,
    },
    /// Show the last exits, the latest first.
    Exits {
        /// Only this service's.
        #[arg(long)]
        service: Option<String>,
        /// Only at this path of the tree and below it, such as orders/order.
        #[arg(long)]
        path: Option<String>,
        /// Only of this entity.
        #[arg(long)]
        id: Option<String>,
        /// How many of each service.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// As the services answer it, with backtraces.
        #[arg(long)]
        json: bool,
        /// Where the platform is, and who asks.
        #[command(flatten)]
        ops: OpsArgs,
    },
    /// Let an entity out of quarantine; what was set aside for it goes back to its consumers.
    Release {
        /// The router's path, such as orders/order.
        path: String,
        /// The entity.
        id: String,
        /// Where the platform is, and who asks.
        #[command(flatten)]
        ops: OpsArgs,
    },
}

/// `faults`
#[derive(Debug, Subcommand)]
pub enum FaultsCommand {
    /// List those in force.
    List {
        /// Only this service's.
        #[arg(long)]
        service: Option<String>,
        /// Where the platform is, and who asks.
        #[command(flatten)]
        ops: OpsArgs,
    },
    /// Set one.
    Set(FaultArgs),
    /// Take one back, or all.
    Clear {
        /// Which; all when absent.
        id: Option<String>,
        /// Only this service's.
        #[arg(long)]
        service: Option<String>,
        /// Where the platform is, and who asks.
        #[command(flatten)]
        ops: OpsArgs,
    },
}

/// `faults set`
#[derive(Debug, Args)]
pub struct FaultArgs {
    /// What goes wrong.
    pub kind: FaultName,
    /// In which service.
    #[arg(long)]
    pub service: String,
    /// With this kind of entity (order, stock, payment), or this task.
    #[arg(long)]
    pub actor: Option<String>,
    /// With this entity alone.
    #[arg(long)]
    pub entity: Option<String>,
    /// Only every so many-th time.
    #[arg(long)]
    pub every: Option<u64>,
    /// How much longer what is slow takes, in milliseconds; 1000 when absent.
    #[arg(long)]
    pub delay_ms: Option<u64>,
    /// How often at most.
    #[arg(long)]
    pub times: Option<u64>,
    /// Seconds in force; 600 when absent.
    #[arg(long)]
    pub expires: Option<u64>,
    /// The name by which it can be taken back.
    #[arg(long)]
    pub id: Option<String>,
    /// Where the platform is, and who asks.
    #[command(flatten)]
    pub ops: OpsArgs,
}

/// What can go wrong on demand.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FaultName {
    /// A handler panics.
    Panic,
    /// A handler begins late.
    Slow,
    /// A handler does not begin.
    Stuck,
    /// The payment provider is not available.
    ProviderDown,
    /// The payment provider answers late.
    ProviderSlow,
    /// All connections of a service to its database are ended.
    DropDatabaseConnections,
}

/// `dlq`
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// List what consumers could not handle.
    List {
        /// Only of this service: orders, inventory, payments, catalog.
        #[arg(long)]
        service: Option<Topic>,
        /// Only of this consumer.
        #[arg(long)]
        consumer: Option<String>,
    },
    /// Show one with its event; payment tokens and addresses are masked.
    Show {
        /// The event's id, or that of an unreadable message.
        id: Uuid,
        /// Every byte of an unreadable message, in base64. Nothing is masked.
        #[arg(long)]
        raw: bool,
    },
    /// Compare its event with the newest one of the same key.
    Diff {
        /// The event's id.
        id: Uuid,
    },
    /// Hand letters to their consumers once more, and then what is parked behind them, in order.
    Redrive {
        /// Which.
        #[command(flatten)]
        which: DlqWhich,
        /// Only say what would go back.
        #[arg(long)]
        dry_run: bool,
    },
    /// Give one up for good. What is parked behind it follows by itself, in order.
    Discard {
        /// The event's id, or that of an unreadable message.
        id: Uuid,
        /// Only at this consumer.
        #[arg(long)]
        consumer: Option<String>,
    },
}

/// Which dead letters are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct DlqWhich {
    /// This event, or this unreadable message.
    pub id: Option<Uuid>,
    /// Those of this aggregate.
    #[arg(long)]
    pub key: Option<Uuid>,
    /// Those of this consumer.
    #[arg(long)]
    pub consumer: Option<String>,
}

/// How to show an event's data.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Decode {
    /// As JSON, payment tokens and addresses masked.
    Json,
    /// The whole event in the JSON event format of CloudEvents, its bytes in base64 and nothing masked.
    Raw,
    /// Not at all.
    None,
}

/// `top`
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Where the platform is, and who asks.
    #[command(flatten)]
    pub ops: OpsArgs,
    /// Seconds from one look to the next, 0.5 to 60.
    #[arg(long, default_value = "2", value_parser = interval)]
    pub interval: Duration,
    /// Print one look as text; it takes an interval, because rates are differences.
    #[arg(long)]
    pub once: bool,
    /// Print one look as JSON.
    #[arg(long)]
    pub json: bool,
}

impl TopArgs {
    /// True when it prints one look and ends.
    pub fn is_once(&self) -> bool {
        self.once || self.json
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is a number of seconds".to_owned())?;
    match (0.5..=60.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("it is 0.5 to 60 seconds".to_owned()),
    }
}

/// `health`
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Whom to ask, such as `http://127.0.0.1:8084`; this machine's gateway when absent. The path is `/readyz` unless
    /// named.
    pub url: Option<String>,
    /// Seconds to wait for the answer.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub timeout: u64,
}

/// `audit`
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Seconds within which an accepted order has to be final.
    #[arg(long, default_value_t = 60)]
    pub within: u64,
    /// Orders whose stream is compared with their history, when the platform is running.
    #[arg(long, default_value_t = 100)]
    pub streams: usize,
}
