//! Inventory: stock per product and location, reservations, the ledger of movements.
