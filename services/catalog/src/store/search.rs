//! Search: by words first, and when no product has them all, in spite of typos.
//!
//! By words, PostgreSQL's own full text search answers: every word must be there, in any of its forms, and where it
//! stands (name, brand, description) is its weight. A search for a sku finds that product first. Only when nothing is found that way is each word taken for the
//! beginning of one, or for a misspelt one: it is compared with the words of the catalogue, and the closest are
//! searched for as well. When still no product has every word, those that have some are shown, who has most of them first. So a correct search
//! stays cheap and precise, and a misspelt one still finds.

use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use super::row::{Listed, columns, listed};
use crate::domain::search::{Term, all_words, any_meaning, terms};

/// How many words of the catalogue are compared with one that may be misspelt.
const CANDIDATES: i64 = 20_000;
/// The most products that are ranked by where in the name the words stand, and the most by where else. Fewer fit
/// most searches; of a word that a third of the catalogue has, so many with it in their name are as good as any.
const MOST: i32 = 500;
/// The same where one word is enough: who has most of them must not be missed for lack of looking.
const MOST_OF_ANY: i32 = 5_000;

/// A product that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The product.
    pub listed: Listed,
    /// How well it fits; comparable within one search.
    pub rank: f32,
}

/// How words were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As they were typed; every one must be there.
    Exact,
    /// As they were typed, or as they may have been meant; every one must be there.
    Corrected,
    /// The same, but one is enough.
    Any,
}

impl Mode {
    const ALL: [Mode; 3] = [Mode::Exact, Mode::Corrected, Mode::Any];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Exact => "exact",
            Mode::Corrected => "corrected",
            Mode::Any => "any",
        }
    }
}

/// Behind which hit a page begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchCursor {
    mode: Mode,
    rank: f32,
    id: Uuid,
}

impl SearchCursor {
    /// The place behind this hit.
    pub fn behind(mode: Mode, last: &Hit) -> Self {
        Self { mode, rank: last.rank, id: last.listed.product.id.uuid() }
    }
}

/// At most `limit` products, best first, and how the words had to be taken to find them.
pub async fn search(
    pool: &PgPool,
    text: &str,
    after: Option<&SearchCursor>,
    limit: u32,
) -> Result<(Vec<Hit>, Mode), sqlx::Error> {
    let terms = terms(text);
    if terms.is_empty() {
        return Ok((Vec::new(), Mode::Exact));
    }
    // With a single word, one is all.
    let mut modes: Vec<_> = Mode::ALL.into_iter().take(if terms.len() == 1 { 2 } else { 3 }).collect();
    if let Some(after) = after {
        modes.retain(|mode| *mode == after.mode);
    }
    let mut candidates = None;
    let mut last = Mode::Exact;
    for mode in modes {
        let query = if mode == Mode::Exact {
            Query { words: all_words(&terms), parts: Vec::new(), skus: skus(text), most: MOST }
        } else {
            let candidates = match &candidates {
                Some(known) => known,
                None => candidates.insert(similar(pool, &terms).await?),
            };
            let parts: Vec<_> = terms
                .iter()
                .zip(candidates)
                .map(|(term, words)| any_meaning(term, &term.meanings(words)))
                .collect();
            if mode == Mode::Corrected {
                Query { words: parts.join(" & "), parts: Vec::new(), skus: Vec::new(), most: MOST }
            } else {
                Query { words: parts.join(" | "), parts, skus: Vec::new(), most: MOST_OF_ANY }
            }
        };
        let hits = find(pool, &query, after, limit).await?;
        if !hits.is_empty() {
            return Ok((hits, mode));
        }
        last = mode;
    }
    Ok((Vec::new(), last))
}

/// The skus that a search may be for.
fn skus(text: &str) -> Vec<String> {
    vec![text.trim().to_owned(), text.trim().to_uppercase()]
}

/// What is asked of the products.
struct Query {
    /// A `tsquery` in its text form.
    words: String,
    /// Each counts: who has more of them comes first. Empty where all must be there anyway.
    parts: Vec<String>,
    /// A product with one of these skus is found whatever its words, and comes first of all.
    skus: Vec<String>,
    /// How many of those that fit are ranked.
    most: i32,
}

async fn find(
    pool: &PgPool,
    query: &Query,
    after: Option<&SearchCursor>,
    limit: u32,
) -> Result<Vec<Hit>, sqlx::Error> {
    sqlx::query(concat!(
        "select ",
        columns!(),
        ", f.rank from (
            select product_id, max(rank) as rank from (
                select product_id, rank from products_that_fit(to_tsquery('english', $1),
                    array(select to_tsquery('english', part) from unnest($5::text[]) as part), $7)
                union all
                select product_id, (ts_rank(words, to_tsquery('english', $1), 1) + 100)::real
                from products where not archived and sku = any($6::text[])
            ) ranked group by product_id
            having $2::real is null or max(rank) < $2 or (max(rank) = $2 and product_id > $3)
            order by max(rank) desc, product_id limit $4
         ) f join products p using (product_id) left join availability a using (product_id)
         order by f.rank desc, product_id"
    ))
    .bind(&query.words)
    .bind(after.map(|after| after.rank))
    .bind(after.map(|after| after.id))
    .bind(i64::from(limit))
    .bind(&query.parts)
    .bind(&query.skus)
    .bind(query.most)
    .try_map(|row: PgRow| Ok(Hit { listed: listed(&row)?, rank: row.try_get("rank")? }))
    .fetch_all(pool)
    .await
}

/// For each term the words of the catalogue that may have been meant, most similar first.
async fn similar(pool: &PgPool, terms: &[Term]) -> Result<Vec<Vec<String>>, sqlx::Error> {
    let mut candidates = Vec::with_capacity(terms.len());
    for term in terms {
        let lengths = term.lengths();
        let words = sqlx::query_scalar(
            "select word from search_words
             where trigrams && $1::text[] and char_length(word) between $2 and $3 limit $4",
        )
        .bind(&term.telling)
        .bind(*lengths.start())
        .bind(*lengths.end())
        .bind(CANDIDATES)
        .fetch_all(pool)
        .await?;
        candidates.push(term.close(words));
    }
    Ok(candidates)
}
