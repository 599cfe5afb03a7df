//! Reading: the catalogue's pages, the search, a product.

use rand::RngExt;
use serde::Deserialize;

use super::Visit;
use crate::client::wire::{Answer, Ask};

/// Orders in which people leaf through a catalogue.
const SORTS: [&str; 3] = ["name", "price", "-price"];

#[derive(Deserialize)]
struct Cursor {
    next_cursor: Option<String>,
}

/// Some pages of the catalogue.
pub async fn browse(visit: &mut Visit, pages: u32) -> Option<()> {
    let sort = SORTS[visit.random.random_range(0..SORTS.len())];
    let first = format!("/v1/products?limit=20&sort={sort}");
    let mut path = first.clone();
    for page in 1..=pages {
        let good = visit.ask_and_judge("browse", Ask::get(&path, None), false, is_a_page).await.ok()?;
        if page < pages {
            let Cursor { next_cursor } = serde_json::from_slice(&good.answer.body).ok()?;
            let Some(cursor) = next_cursor else { break };
            path = format!("{first}&cursor=");
            path.extend(form_urlencoded::byte_serialize(cursor.as_bytes()));
        }
    }
    Some(())
}

fn is_a_page(answer: &Answer) -> Result<(), &'static str> {
    let page: Result<Cursor, _> = serde_json::from_slice(&answer.body);
    page.map(|_| ()).map_err(|_| "a page that cannot be read")
}

/// Looks for one or two words of a product's name.
pub async fn search(visit: &mut Visit) -> Option<()> {
    let world = visit.world.clone();
    let product = &world.shop.products[visit.random.random_range(0..world.shop.products.len())];
    let words: Vec<&str> = product
        .name
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| word.chars().count() >= 3)
        .collect();
    let path = {
        let first = visit.random.random_range(0..words.len().max(1));
        let many = visit.random.random_range(1..=2);
        let wanted = words.iter().skip(first).take(many).copied().collect::<Vec<_>>().join(" ");
        let wanted = if wanted.is_empty() { &product.name } else { &wanted };
        format!(
            "/v1/products/search?q={}",
            form_urlencoded::byte_serialize(wanted.as_bytes()).collect::<String>()
        )
    };
    visit.ask("search", Ask::get(&path, None)).await.ok().map(|_| ())
}

/// Looks at some products, the wanted ones more often.
pub async fn product(visit: &mut Visit, times: u32) -> Option<()> {
    for _ in 0..times {
        let product = visit.world.shelf.product(&mut visit.random);
        let path = format!("/v1/products/{product}");
        visit.ask("product", Ask::get(&path, None)).await.ok()?;
    }
    Some(())
}
