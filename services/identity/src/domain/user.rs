//! A registration: what is kept of it, and what others are told.

use jiff::Timestamp;
use viscount_chassis::auth::{Role, Roles};
use viscount_contracts::{UserId, events::identity::v1::UserRegistered};

use super::{DisplayName, EmailAddress, PasswordHash};

/// Somebody who is about to become a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Their id, the subject of their tokens.
    pub id: UserId,
    /// Where they are reached, and what they log in with.
    pub email: EmailAddress,
    /// What they are called.
    pub name: DisplayName,
    /// The hash of their password.
    pub password: PasswordHash,
    /// What they may do.
    pub roles: Roles,
    /// When they registered.
    pub at: Timestamp,
    /// True for the administrator that the very first start makes.
    pub first_admin: bool,
}

impl NewUser {
    /// Somebody who registers. Always a customer: nobody makes themselves an administrator.
    pub fn customer(
        id: UserId,
        email: EmailAddress,
        name: DisplayName,
        password: PasswordHash,
        at: Timestamp,
    ) -> Self {
        Self { id, email, name, password, roles: Role::Customer.into(), at, first_admin: false }
    }

    /// The administrator of a new installation.
    pub fn administrator(
        id: UserId,
        email: EmailAddress,
        name: DisplayName,
        password: PasswordHash,
        at: Timestamp,
    ) -> Self {
        Self { id, email, name, password, roles: Role::Admin.into(), at, first_admin: true }
    }

    /// What the other services are told: no personal data.
    pub fn registered(&self) -> UserRegistered {
        UserRegistered {
            user_id: self.id.to_string(),
            roles: self.roles.iter().map(|role| role.to_string()).collect(),
        }
    }
}

/// Roles as the database keeps them.
pub trait RolesText {
    /// The names of the roles.
    fn names(&self) -> Vec<String>;
    /// The roles of these names; names of roles that are no more give nothing.
    fn of_names(names: &[String]) -> Roles;
}

impl RolesText for Roles {
    fn names(&self) -> Vec<String> {
        self.iter().map(|role| role.to_string()).collect()
    }

    fn of_names(names: &[String]) -> Roles {
        names.iter().filter_map(|name| name.parse::<Role>().ok()).collect()
    }
}
