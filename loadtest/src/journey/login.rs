//! Who one is, and what one has bought.

use serde_json::json;

use super::Visit;
use crate::client::wire::Ask;

/// Logs in like anybody; the journey goes on with the token it had.
pub async fn login(visit: &mut Visit) -> Option<()> {
    let world = visit.world.clone();
    let (email, password) = world.customers.credentials(visit.customer)?;
    let body = json!({"email": email, "password": password}).to_string();
    visit.ask("login", Ask::post("/v1/auth/login", body)).await.ok().map(|_| ())
}

/// Asks who one is.
pub async fn me(visit: &mut Visit) -> Option<()> {
    visit.ask_as_customer("me", Ask::get("/v1/users/me", None)).await.ok().map(|_| ())
}

/// The newest of one's own orders.
pub async fn history(visit: &mut Visit) -> Option<()> {
    visit.ask_as_customer("history", Ask::get("/v1/orders?limit=20", None)).await.ok().map(|_| ())
}
