//! Catalogue: products, categories, prices, search.
