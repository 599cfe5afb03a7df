//! The story, written into the services' databases.

use sqlx::PgPool;
use uuid::Uuid;
use viscount_contracts::Topic;

use super::tale::{MAIN, MUG, POT, Posting, Tale, price};
use crate::stack::Part;

impl Tale {
    /// Writes one part's share of the story.
    pub async fn write(&self, part: Part, pool: &PgPool) {
        match part {
            Part::Simulator => return self.write_charges(pool).await,
            Part::Orders => self.write_orders(pool).await,
            Part::Inventory => self.write_stock(pool).await,
            Part::Payments => self.write_payments(pool).await,
            Part::Catalog => self.write_products(pool).await,
            Part::Identity | Part::Coordination | Part::Gateway => {}
        }
        let Some(service) = Topic::ALL.into_iter().find(|topic| topic.service() == part.name()) else {
            return;
        };
        let log = self.logs.get(&service).map(Vec::as_slice).unwrap_or_default();
        for (position, event) in (1i64..).zip(log) {
            sqlx::query(
                "insert into events (position, stream, version, event_id, kind, data, occurred_at)
                 values ($1, $2, $3, $4, $5, $6, $7::text::timestamptz)",
            )
            .bind(position)
            .bind(event.stream)
            .bind(event.version)
            .bind(event.id.uuid())
            .bind(event.kind)
            .bind(&event.data)
            .bind(event.occurred_at.to_string())
            .execute(pool)
            .await
            .unwrap();
        }
        let head = i64::try_from(log.len()).unwrap();
        sqlx::query("update log_head set position = $1").bind(head).execute(pool).await.unwrap();
        let inbox = self.inboxes.get(&service).cloned().unwrap_or_default();
        sqlx::query("insert into inbox (event_id) select unnest($1::uuid[])")
            .bind(inbox)
            .execute(pool)
            .await
            .unwrap();
        let reads: &[Topic] = match service {
            Topic::Orders => &[Topic::Catalog, Topic::Inventory, Topic::Payments],
            Topic::Inventory | Topic::Payments => &[Topic::Orders],
            Topic::Catalog => &[Topic::Inventory],
            Topic::Identity | Topic::Coordination => &[],
        };
        for topic in reads {
            let end = i64::try_from(self.logs.get(topic).map_or(0, Vec::len)).unwrap();
            sqlx::query("insert into consumer_offsets (consumer, topic, position) values ($1, $2, $3)")
                .bind(service.service())
                .bind(topic.name())
                .bind(end)
                .execute(pool)
                .await
                .unwrap();
        }
    }

    async fn write_orders(&self, pool: &PgPool) {
        for (id, order) in &self.orders {
            sqlx::query(
                "insert into orders (id, customer_id, status, version, total, currency, refunded, lines, created_at,
                     updated_at)
                 values ($1, $1, $2, $3, $4, 'GBP', $5, '[]', now() - interval '1 h', now())",
            )
            .bind(id)
            .bind(order.status)
            .bind(self.version(Topic::Orders, *id))
            .bind(order.total)
            .bind(order.refunded)
            .execute(pool)
            .await
            .unwrap();
            if order.due {
                sqlx::query("insert into order_deadlines (look_at, order_id) values (now(), $1)")
                    .bind(id)
                    .execute(pool)
                    .await
                    .unwrap();
            }
        }
        for product in [MUG, POT] {
            sqlx::query(
                "insert into price_book (product_id, sku, name, amount, currency, on_sale, version)
                 values ($1, $1::text, 'Thing', $2, 'GBP', true, 1)",
            )
            .bind(product)
            .bind(price(product))
            .execute(pool)
            .await
            .unwrap();
        }
    }

    async fn write_stock(&self, pool: &PgPool) {
        for movement in &self.movements {
            sqlx::query(
                "insert into movements (product_id, location, kind, reservation_id, delta_on_hand, delta_reserved,
                     version)
                 values ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(movement.product)
            .bind(movement.location)
            .bind(movement.kind)
            .bind(movement.reservation)
            .bind(movement.on_hand)
            .bind(movement.reserved)
            .bind(movement.version)
            .execute(pool)
            .await
            .unwrap();
        }
        for ((product, location), (on_hand, reserved, version)) in &self.stock {
            sqlx::query(
                "insert into stock (product_id, location, on_hand, reserved, version) values ($1, $2, $3, $4, $5)",
            )
            .bind(product)
            .bind(location)
            .bind(on_hand)
            .bind(reserved)
            .bind(version)
            .execute(pool)
            .await
            .unwrap();
        }
        for (id, (of_order, state, lines)) in &self.reservations {
            sqlx::query(
                "insert into reservations (id, of_order, state, version, created_at, products, places, quantities)
                 values ($1, $2, $3, $4, now() - interval '1 h', $5, $6, $7)",
            )
            .bind(id)
            .bind(of_order)
            .bind(state)
            .bind(self.version(Topic::Inventory, *id))
            .bind(lines.iter().map(|(product, _)| *product).collect::<Vec<_>>())
            .bind(lines.iter().map(|_| MAIN).collect::<Vec<_>>())
            .bind(lines.iter().map(|(_, quantity)| i32::try_from(*quantity).unwrap()).collect::<Vec<_>>())
            .execute(pool)
            .await
            .unwrap();
        }
    }

    async fn write_payments(&self, pool: &PgPool) {
        for (id, payment) in &self.payments {
            sqlx::query(
                "insert into payments (order_id, status, version, amount, currency, captured, refunded,
                     provider_reference, created_at, updated_at)
                 values ($1, $2, $3, $4, case when $4::bigint is not null then 'GBP' end, $5, $6, $7, now(), now())",
            )
            .bind(id)
            .bind(payment.status)
            .bind(self.version(Topic::Payments, *id))
            .bind(payment.amount)
            .bind(payment.captured)
            .bind(payment.refunded)
            .bind(payment.charge.map(|sequence| format!("ch_{sequence:016x}")))
            .execute(pool)
            .await
            .unwrap();
        }
        for (refund, order, amount, state) in &self.refunds {
            sqlx::query(
                "insert into refunds (refund_id, order_id, state, amount, currency, provider_reference, created_at,
                     updated_at)
                 values ($1, $2, $4, $3, 'GBP', 're_1', now(), now())",
            )
            .bind(refund)
            .bind(order)
            .bind(amount)
            .bind(state)
            .execute(pool)
            .await
            .unwrap();
        }
        let column = |of: fn(&Posting) -> Uuid| self.ledger.iter().map(of).collect::<Vec<_>>();
        // By one statement, as the trigger wants it.
        sqlx::query(
            "insert into ledger (transaction_id, account, order_id, amount, currency, posted_at)
             select t, a, o, m, 'GBP', now()
             from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[]) as u (t, a, o, m)",
        )
        .bind(column(|row| row.0))
        .bind(self.ledger.iter().map(|row| row.1).collect::<Vec<_>>())
        .bind(column(|row| row.2))
        .bind(self.ledger.iter().map(|row| row.3).collect::<Vec<_>>())
        .execute(pool)
        .await
        .unwrap();
    }

    async fn write_charges(&self, pool: &PgPool) {
        for charge in &self.charges {
            let metadata =
                charge.order.map_or("{}".to_owned(), |order| format!(r#"{{"order_id":"{order}"}}"#));
            sqlx::query(
                "insert into charges (sequence, idempotency_key, amount, currency, source, captured, status,
                     amount_refunded, metadata, created_at)
                 values ($1, $2, $3, 'GBP', 'tok_visa', $4 = 'succeeded', $4, $5, $6, now())",
            )
            .bind(charge.sequence)
            .bind(&charge.key)
            .bind(charge.amount)
            .bind(charge.status)
            .bind(charge.returned)
            .bind(metadata)
            .execute(pool)
            .await
            .unwrap();
        }
        for (refund, order, amount, _) in self.refunds.iter().filter(|refund| refund.3 == "done") {
            let charge = self.charges.iter().find(|charge| charge.order == Some(*order)).unwrap();
            sqlx::query(
                "insert into refunds (idempotency_key, charge, amount, currency, metadata, created_at)
                 values ($1, $2, $3, 'GBP', '{}', now())",
            )
            .bind(refund.to_string())
            .bind(charge.sequence)
            .bind(amount)
            .execute(pool)
            .await
            .unwrap();
        }
    }

    async fn write_products(&self, pool: &PgPool) {
        for product in [MUG, POT] {
            sqlx::query(
                "insert into products (product_id, version, revision, sku, name, name_key, description, category, brand,
                     price, currency, attributes, archived, created_at, updated_at)
                 values ($1, 1, 1, $1::text, 'Thing', 'thing', '', '', '', $2, 'GBP', '{}', false, now(), now())",
            )
            .bind(product)
            .bind(price(product))
            .execute(pool)
            .await
            .unwrap();
            // The second event of the product's stream tells of the first pieces.
            sqlx::query("insert into availability (product_id, available, version) values ($1, 20, 2)")
                .bind(product)
                .execute(pool)
                .await
                .unwrap();
        }
    }
}
