//! Why the platform's books differ from the file. Every difference has one of these; what has none is unexplained.

use std::fmt;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The catalogue has one price for a product, invoices have several.
    SalePrice,
    /// A refund returns what was paid here, an invoice what it says.
    ReturnPrice,
    /// A refund returns money, not goods: those are booked by whoever receives them.
    PiecesStay,
    /// The file does not say what.
    NoCode,
    /// No product of the catalogue, and by its code none that could be: postage, fees, discounts, corrections.
    NotGoods,
    /// No product of the catalogue.
    NotInCatalogue,
    /// Its price is in another currency than the others'.
    OtherCurrency,
    /// Price zero.
    Free,
    /// Price below zero.
    NegativePrice,
    /// No pieces, or fewer, on an invoice that takes nothing back: stock that broke or was counted anew.
    WriteOff,
    /// Pieces going out on an invoice that takes back.
    OutOnReversal,
    /// More pieces than a line may have.
    TooMany,
    /// Taken back from nobody known.
    ReturnNobody,
    /// Taken back although the file tells of no purchase: bought before it begins, or less than what comes back.
    ReturnUnbought,
    /// The order was rejected, for this reason.
    Rejected(String),
    /// The order was not accepted, for this reason.
    Refused(String),
    /// The order was cancelled, but not by the replay.
    Cancelled(String),
    /// Sold, and taken back before it was charged.
    CalledOff,
    /// The order did not become final.
    Unfinished,
    /// Takes back what was never sold here.
    ReturnUnsold,
    /// The refund was not accepted, for this reason.
    RefundRefused(String),
    /// The replay ended before.
    NotReplayed,
}

/// Why an order is rejected for which there are not enough goods.
const NO_STOCK: &str = "insufficient_stock";

impl Reason {
    /// True for what must not be: the books may agree, but the platform did not do what it should. When goods were `received`
    /// for every piece, none can be missing.
    pub fn is_failure(&self, received: bool) -> bool {
        match self {
            Self::Refused(_) | Self::RefundRefused(_) | Self::Cancelled(_) | Self::Unfinished => true,
            Self::Rejected(why) => received && why == NO_STOCK,
            _ => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::SalePrice => "sold at the catalogue's price, not the invoice's",
            Self::ReturnPrice => "refunded what was paid here, not what the invoice says",
            Self::PiecesStay => "goods of refunded lines: a refund returns money only",
            Self::NoCode => "no stock code",
            Self::NotGoods => "not in the catalogue: postage, fees, discounts, corrections",
            Self::NotInCatalogue => "not in the catalogue",
            Self::OtherCurrency => "offered in another currency",
            Self::Free => "price zero: not ordered",
            Self::NegativePrice => "negative price: not ordered",
            Self::WriteOff => "write-offs: no pieces or fewer, and nothing taken back",
            Self::OutOnReversal => "pieces going out on an invoice that takes back",
            Self::TooMany => "more pieces than a line of an order may have",
            Self::ReturnNobody => "taken back from nobody known: no customer",
            Self::ReturnUnbought => "taken back without a purchase in the file",
            Self::CalledOff => "sold and taken back; here cancelled before it was charged",
            Self::Unfinished => "order did not become final",
            Self::ReturnUnsold => "taken back from an order that was not completed here",
            Self::NotReplayed => "not replayed: interrupted",
            Self::Rejected(why) => return write!(f, "order rejected: {why}"),
            Self::Refused(why) => return write!(f, "order not accepted: {why}"),
            Self::Cancelled(why) => return write!(f, "order cancelled by the platform: {why}"),
            Self::RefundRefused(why) => return write!(f, "refund not accepted: {why}"),
        };
        f.write_str(text)
    }
}
