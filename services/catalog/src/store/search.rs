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

/// How many words of the catalogue are looked at for one that may be misspelt.
const CANDIDATES: i64 = 30;

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
            Query { words: all_words(&terms), parts: Vec::new(), skus: skus(text) }
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
                Query { words: parts.join(" & "), parts: Vec::new(), skus: Vec::new() }
            } else {
                Query { words: parts.join(" | "), parts, skus: Vec::new() }
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
        ", p.rank from (
            select p.*, (ts_rank(p.words, query, 1)
                + (select count(*) from unnest(parts) as part where p.words @@ part)
                + case when p.sku = any($6) then 100 else 0 end)::real as rank
            from to_tsquery('english', $1) query,
                (select array_agg(to_tsquery('english', part)) as parts from unnest($5::text[]) as part) counted,
                products p
            where not p.archived and (p.words @@ query or p.sku = any($6::text[]))
         ) p left join availability a using (product_id)
         where $2::real is null or p.rank < $2 or (p.rank = $2 and p.product_id > $3)
         order by p.rank desc, p.product_id limit $4"
    ))
    .bind(&query.words)
    .bind(after.map(|after| after.rank))
    .bind(after.map(|after| after.id))
    .bind(i64::from(limit))
    .bind(&query.parts)
    .bind(&query.skus)
    .try_map(|row: PgRow| Ok(Hit { listed: listed(&row)?, rank: row.try_get("rank")? }))
    .fetch_all(pool)
    .await
}

/// For each term the words of the catalogue that share most trigrams with it, most similar first (Jaccard's index).
async fn similar(pool: &PgPool, terms: &[Term]) -> Result<Vec<Vec<String>>, sqlx::Error> {
    let mut candidates = Vec::with_capacity(terms.len());
    for term in terms {
        let words = sqlx::query_scalar(
            "select word from (
                select word, cardinality(trigrams) as size,
                    (select count(*) from unnest(trigrams) as piece where piece = any($2)) as shared
                from search_words where trigrams && $1::text[] offset 0
             ) w order by shared::real / (size + cardinality($2::text[]) - shared) desc, word limit $3",
        )
        .bind(&term.telling)
        .bind(&term.trigrams)
        .bind(CANDIDATES)
        .fetch_all(pool)
        .await?;
        candidates.push(words);
    }
    Ok(candidates)
}
