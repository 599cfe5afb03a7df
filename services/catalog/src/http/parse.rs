//! From what a client sent to what the domain takes; every field that is wrong is named at once.

use viscount_chassis::problem::Problem;
use viscount_contracts::{Currency, Money};

use super::wire::DetailsBody;
use crate::domain::{Attributes, Description, Details, Label, Name, Price, Sku, ValueError};

/// The details, or 422 with everything that is wrong with them.
pub fn details(body: DetailsBody, shop: Currency) -> Result<Details, Problem> {
    let mut wrong = Wrong(Vec::new());
    let sku = wrong.keep("/sku", Sku::new(&body.sku));
    let name = wrong.keep("/name", Name::new(&body.name));
    let description = wrong.optional("/description", body.description, Description::new);
    let category = wrong.optional("/category", body.category, Label::new);
    let brand = wrong.optional("/brand", body.brand, Label::new);
    let price = wrong.keep("/price", Price::new(Money::new(body.price.amount, body.price.currency), shop));
    let attributes = wrong.keep("/attributes", Attributes::new(body.attributes.unwrap_or_default()));
    match (sku, name, price, attributes) {
        (Some(sku), Some(name), Some(price), Some(attributes)) if wrong.0.is_empty() => {
            Ok(Details { sku, name, description, category, brand, price, attributes })
        }
        _ => Err(wrong.problem()),
    }
}

/// The fields that are wrong.
struct Wrong(Vec<(String, String)>);

impl Wrong {
    fn keep<T>(&mut self, pointer: &str, value: Result<T, ValueError>) -> Option<T> {
        value.map_err(|error| self.0.push((at(pointer, &error), error.to_string()))).ok()
    }

    /// Blank is the same as absent: forms and spreadsheets send it so.
    fn optional<T>(
        &mut self,
        pointer: &str,
        text: Option<String>,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let text = text.filter(|text| !text.trim().is_empty())?;
        self.keep(pointer, parse(&text))
    }

    fn problem(self) -> Problem {
        let problem = Problem::unprocessable("the product cannot be like this");
        self.0.into_iter().fold(problem, |problem, (pointer, detail)| problem.with_error(pointer, detail))
    }
}

/// Where exactly: some errors are about a part of the value.
fn at(pointer: &str, error: &ValueError) -> String {
    match error {
        ValueError::PriceOutOfRange => format!("{pointer}/amount"),
        ValueError::ForeignCurrency { .. } => format!("{pointer}/currency"),
        // Escaped as RFC 6901 §3 has it.
        ValueError::EntryValue(name, _) => {
            format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
        }
        _ => pointer.to_owned(),
    }
}
