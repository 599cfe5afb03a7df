//! Reservations and stock, from inventory's events.

use std::collections::BTreeMap;

use uuid::Uuid;
use viscount_contracts::{Event as Contract, events::inventory::v1 as proto};

use super::{Event, Facts, id, pieces, read};

/// A reservation as its events have made it.
#[derive(Debug, Default)]
pub struct Reservation {
    /// It belongs to an order.
    pub of_order: bool,
    /// held, rejected, released, expired, sold.
    pub state: &'static str,
    /// The newest version.
    pub version: i32,
    /// What is or was held, pieces by product; each time that it was.
    pub held: Vec<(usize, BTreeMap<Uuid, i64>)>,
    /// How it ended: the event, whether it was sold, and over what; each time that it did.
    pub ends: Vec<(usize, bool, BTreeMap<Uuid, i64>)>,
}

/// A change of a product's stock.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// The event.
    pub event: usize,
    /// Whose stock.
    pub product: Uuid,
    /// The reservation that it is for.
    pub reservation: Option<Uuid>,
    /// Pieces that came in, less those that went by another way than a sale.
    pub received: i64,
    /// Pieces that are held more, or fewer.
    pub held: i64,
    /// Pieces that were sold.
    pub sold: i64,
}

impl Facts<'_> {
    pub(super) fn take_inventory(&mut self, at: usize, event: &Event) -> Result<(), String> {
        match event.kind.as_ref() {
            proto::InventoryReserved::KIND => {
                let reserved: proto::InventoryReserved = read(event)?;
                let pieces = lines(&reserved.lines)?;
                self.moved(at, event.stream, &pieces, |quantity| (quantity, 0));
                let known = self.step(event, "held", &reserved.order_id);
                known.held.push((at, pieces));
            }
            proto::InventoryRejected::KIND => {
                let rejected: proto::InventoryRejected = read(event)?;
                self.step(event, "rejected", &rejected.order_id);
            }
            proto::InventoryReleased::KIND => {
                let released: proto::InventoryReleased = read(event)?;
                let pieces = lines(&released.lines)?;
                self.moved(at, event.stream, &pieces, |quantity| (-quantity, 0));
                let state = if released.reason == "expired" { "expired" } else { "released" };
                self.step(event, state, &released.order_id).ends.push((at, false, pieces));
            }
            proto::InventoryDeducted::KIND => {
                let sold: proto::InventoryDeducted = read(event)?;
                let pieces = lines(&sold.lines)?;
                self.moved(at, event.stream, &pieces, |quantity| (-quantity, quantity));
                self.step(event, "sold", &sold.order_id).ends.push((at, true, pieces));
            }
            proto::InventoryAdjusted::KIND => {
                let adjusted: proto::InventoryAdjusted = read(event)?;
                self.moves.push(Move {
                    event: at,
                    product: id(&adjusted.product_id)?,
                    reservation: None,
                    received: i64::from(adjusted.delta),
                    held: 0,
                    sold: 0,
                });
            }
            proto::InventoryUpdated::KIND => {
                let updated: proto::InventoryUpdated = read(event)?;
                let told = self.told.entry(id(&updated.product_id)?).or_default();
                if told.1 < event.version {
                    *told = (i64::from(updated.available), event.version);
                }
            }
            proto::LowStockAlert::KIND => {}
            other => return Err(format!("{other} is no event of inventory")),
        }
        Ok(())
    }

    fn step(&mut self, event: &Event, state: &'static str, order: &str) -> &mut Reservation {
        let reservation = self.reservations.entry(event.stream).or_default();
        reservation.of_order = !order.is_empty();
        (reservation.state, reservation.version) = (state, event.version);
        reservation
    }

    /// `change` says how many pieces are held more and sold, of so many.
    fn moved(
        &mut self,
        at: usize,
        reservation: Uuid,
        pieces: &BTreeMap<Uuid, i64>,
        change: impl Fn(i64) -> (i64, i64),
    ) {
        self.moves.extend(pieces.iter().map(|(product, quantity)| {
            let (held, sold) = change(*quantity);
            Move { event: at, product: *product, reservation: Some(reservation), received: 0, held, sold }
        }));
    }
}

fn lines(lines: &[proto::Line]) -> Result<BTreeMap<Uuid, i64>, String> {
    pieces(lines.iter().map(|line| (line.product_id.as_str(), line.quantity)))
}
