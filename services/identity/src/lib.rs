//! Identity: users, OAuth 2 tokens, JWKS, roles.
