//! The one place where the domain's refusals meet status codes.

use viscount_chassis::problem::Problem;

use crate::{catalog::Refusal, domain::Rejection};

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Problem::not_found("product"),
            Refusal::SkuTaken => Problem::conflict("sku-taken", "Sku taken", "another product has this sku")
                .with_error("/sku", "is taken"),
            Refusal::Rejected(Rejection::Stale { .. }) => Problem::precondition_failed(),
            Refusal::Rejected(rejection @ Rejection::Archived) => {
                Problem::conflict("product-archived", "Product archived", rejection.to_string())
            }
            Refusal::Commit(error) => error.into(),
            Refusal::Database(error) => error.into(),
        }
    }
}
