//! What it takes to find a product in spite of a typo.
//!
//! A misspelt word is compared with the words that products are described with. Candidates are found by trigrams, as
//! PostgreSQL's `pg_trgm` makes them: each word is put in lower case and padded (two spaces before, one after), and
//! its trigrams are all runs of three characters. `wanderer` and `wandrer` share most of theirs, and nothing needs to
//! be known of the language. Among the candidates the edit distance decides (optimal string alignment: a letter
//! wrong, missing, too many, or two letters swapped count one each). All computed here: no database extension needed.

use std::{cmp::Reverse, collections::BTreeSet, ops::RangeInclusive};

/// The most characters that a search takes.
pub const MAX_CHARS: usize = 200;
/// The most words of a search that are looked at.
const MAX_WORDS: usize = 12;
/// Which words are learnt: shorter ones are not corrected, longer ones are none.
const LEARNT: std::ops::RangeInclusive<usize> = 3..=32;
/// The most words that one misspelt word may stand for.
const MAX_MEANINGS: usize = 5;

/// A word of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// In lower case.
    pub word: String,
    /// All its trigrams: what similarity is measured by.
    pub trigrams: Vec<String>,
    /// The telling ones: a word that is close enough has at least one of them. The first letter's is left out, which
    /// too many words share, and in longer words the ending's.
    pub telling: Vec<String>,
}

impl Term {
    fn new(word: String) -> Self {
        let trigrams = trigrams(&word);
        let telling = match word.chars().count() {
            8.. => 2..trigrams.len() - 1,
            4.. => 1..trigrams.len(),
            _ => 0..trigrams.len(),
        };
        Self { telling: trigrams[telling].to_vec(), trigrams, word }
    }

    /// How many letters may be wrong.
    fn tolerance(&self) -> usize {
        match self.word.chars().count() {
            6.. => 2,
            3.. => 1,
            _ => 0,
        }
    }

    /// How many letters a word may have that was meant.
    pub fn lengths(&self) -> RangeInclusive<i32> {
        let (letters, tolerance) = (self.word.chars().count(), self.tolerance());
        let number = |letters| i32::try_from(letters).unwrap_or(i32::MAX);
        number(letters.saturating_sub(tolerance))..=number(letters + tolerance)
    }

    /// Those of these words that have few enough letters wrong, most similar (Jaccard's index of the trigrams) first.
    pub fn close(&self, mut words: Vec<String>) -> Vec<String> {
        words.retain(|word| strsim::osa_distance(&self.word, word) <= self.tolerance());
        words.sort_by_cached_key(|word| {
            let theirs = trigrams(word);
            let shared = theirs.iter().filter(|piece| self.trigrams.contains(piece)).count();
            // In millionths: an integer can be sorted by.
            let similarity =
                shared * 1_000_000 / (theirs.len() + self.trigrams.len()).saturating_sub(shared).max(1);
            (Reverse(similarity), word.clone())
        });
        words
    }

    /// Which of these words may have been meant: those with the fewest letters wrong, the first few of them. A word
    /// that is among them as it stands is not misspelt.
    pub fn meanings<'a>(&self, candidates: &'a [String]) -> Vec<&'a str> {
        if candidates.contains(&self.word) {
            return Vec::new();
        }
        let distances = candidates.iter().map(|word| (strsim::osa_distance(&self.word, word), word.as_str()));
        let close: Vec<_> = distances.filter(|(distance, _)| *distance <= self.tolerance()).collect();
        let Some(fewest) = close.iter().map(|(distance, _)| *distance).min() else { return Vec::new() };
        let closest = close.into_iter().filter(|(distance, _)| *distance == fewest).map(|(_, word)| word);
        closest.take(MAX_MEANINGS).collect()
    }
}

/// The words of a search, at most twelve; none when there is no letter and no digit in it.
pub fn terms(text: &str) -> Vec<Term> {
    words(text).take(MAX_WORDS).map(Term::new).collect()
}

/// A PostgreSQL `tsquery`, in its text form, for all these words as they were typed.
pub fn all_words(terms: &[Term]) -> String {
    // Words hold no quote and no backslash: they were split at everything but letters and digits.
    let quoted: Vec<_> = terms.iter().map(|term| format!("'{}'", term.word)).collect();
    quoted.join(" & ")
}

/// A `tsquery`, in its text form, for a word as it was typed, as the beginning of a longer one, or in one of these
/// meanings.
pub fn any_meaning(term: &Term, meanings: &[&str]) -> String {
    let others: String = meanings.iter().map(|word| format!(" | '{word}'")).collect();
    format!("('{}':*{others})", term.word)
}

/// The words of these texts that a search may be compared with.
pub fn learnt<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let wanted =
        |word: &String| word.chars().all(char::is_alphabetic) && LEARNT.contains(&word.chars().count());
    texts.into_iter().flat_map(words).filter(wanted).collect()
}

/// The trigrams of one word, in the order in which they stand in it.
pub fn trigrams(word: &str) -> Vec<String> {
    let padded: Vec<char> = "  ".chars().chain(word.chars()).chain([' ']).collect();
    padded.windows(3).map(|three| three.iter().collect()).collect()
}

/// Runs of letters and digits, in lower case.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}
