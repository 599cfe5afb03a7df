//! What may be asked of this service, whoever asks: registering, logging in, renewing, leaving.

use jiff::Timestamp;
use metrics::counter;
use viscount_chassis::{
    auth::Roles,
    http::current_traceparent,
    store::{CommitError, Committer, Entry, NewEvent},
};
use viscount_contracts::UserId;

use crate::{
    domain::{DisplayName, EmailAddress, NewUser, Password, RefreshToken, TokenHash},
    error::IdentityError,
    metrics as names,
    passwords::Passwords,
    store::{Client, Clients, EMAIL_TAKEN, Profile, Renewal, Sessions, Users},
    tokens::{AccessToken, Tokens},
};

/// The service, as its handlers see it.
#[derive(Clone)]
pub struct Identity {
    /// Users, for reading.
    pub users: Users,
    /// Sessions.
    pub sessions: Sessions,
    /// Programs with tokens of their own.
    pub clients: Clients,
    /// Writes users and their events.
    pub committer: Committer<NewUser>,
    /// Hashes and checks.
    pub passwords: Passwords,
    /// Makes access tokens.
    pub tokens: Tokens,
    /// The address that is kept for the first administrator: nobody registers with it.
    pub reserved: EmailAddress,
}

/// Somebody who wants an account.
pub struct Registration {
    /// Their address.
    pub email: EmailAddress,
    /// What they are called.
    pub name: DisplayName,
    /// The password they chose.
    pub password: Password,
}

/// A session that begins or goes on.
pub struct Admission {
    /// Opens doors, for a short time.
    pub access: AccessToken,
    /// Renews the session, once.
    pub refresh: RefreshToken,
}

impl Identity {
    /// Makes an account. The answer comes when it is committed.
    pub async fn register(&self, registration: Registration) -> Result<Profile, IdentityError> {
        let result = self.try_register(registration).await;
        let outcome = match &result {
            Ok(_) => "registered",
            Err(IdentityError::EmailTaken) => "email_taken",
            Err(_) => "failed",
        };
        counter!(names::REGISTRATIONS, "outcome" => outcome).increment(1);
        result
    }

    async fn try_register(&self, registration: Registration) -> Result<Profile, IdentityError> {
        let Registration { email, name, password } = registration;
        // The constraint decides; this look merely saves the hashing when the answer is known.
        if email.key() == self.reserved.key() || self.users.has(&email).await? {
            return Err(IdentityError::EmailTaken);
        }
        let hash = self.passwords.hash(password).await?;
        let user = NewUser::customer(UserId::new(), email, name, hash, Timestamp::now());
        self.commit(user.clone()).await?;
        Ok(Profile {
            id: user.id,
            email: user.email.as_written().to_owned(),
            name: user.name.as_str().to_owned(),
            roles: user.roles,
        })
    }

    /// Writes a new user and the event that says so.
    pub async fn commit(&self, user: NewUser) -> Result<(), IdentityError> {
        let event = NewEvent::new(user.id, 1, &user.registered(), user.at).traced(current_traceparent());
        match self.committer.commit(Entry { events: vec![event], inbox: None, projection: user }).await {
            Ok(_) => Ok(()),
            // Without a name the writer itself found the address taken.
            Err(CommitError::Refused { constraint })
                if constraint.is_empty() || constraint == EMAIL_TAKEN =>
            {
                Err(IdentityError::EmailTaken)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a session for whoever knows the password. An unknown address costs the same work as a wrong password and
    /// gets the same answer; so does a text that is no address at all.
    pub async fn log_in(&self, email: &str, password: Password) -> Result<Admission, IdentityError> {
        let result = self.try_log_in(email, password).await;
        let outcome = match &result {
            Ok(_) => "admitted",
            Err(IdentityError::WrongCredentials) => "refused",
            Err(_) => "failed",
        };
        counter!(names::LOGINS, "outcome" => outcome).increment(1);
        result
    }

    async fn try_log_in(&self, email: &str, password: Password) -> Result<Admission, IdentityError> {
        let known = match EmailAddress::parse(email) {
            Ok(email) => self.users.credentials(&email).await?,
            Err(_) => None,
        };
        let hash = known.as_ref().map(|known| known.password.clone());
        let right = self.passwords.check(password, hash).await?;
        let Some(user) = known.filter(|_| right) else { return Err(IdentityError::WrongCredentials) };
        let now = Timestamp::now();
        let refresh = RefreshToken::first(rand::random());
        self.sessions.open(user.id, &refresh, now).await?;
        Ok(Admission { access: self.tokens.issue(user.id, user.roles, now)?, refresh })
    }

    /// Renews a session with its newest refresh token, which is used up by that. A token that was used before ends
    /// the session: one of the two who showed it is not its owner.
    pub async fn renew(&self, shown: &RefreshToken) -> Result<(Admission, Roles), IdentityError> {
        let now = Timestamp::now();
        let refresh = shown.renewed(rand::random());
        match self.sessions.renew(shown, &refresh, now).await? {
            Renewal::Renewed(session) => {
                let access = self.tokens.issue(session.user, session.roles, now)?;
                Ok((Admission { access, refresh }, session.roles))
            }
            Renewal::Reused { user } => {
                counter!(names::SESSIONS_REVOKED, "reason" => "reuse").increment(1);
                tracing::warn!(%user, "a refresh token was shown twice, session ended");
                Err(IdentityError::InvalidGrant)
            }
            Renewal::Refused => Err(IdentityError::InvalidGrant),
        }
    }

    /// Ends the session that a refresh token belongs to. Nothing happens when there is none, or no longer.
    pub async fn log_out(&self, shown: &RefreshToken) -> Result<(), IdentityError> {
        if self.sessions.end(shown, Timestamp::now()).await? {
            counter!(names::SESSIONS_REVOKED, "reason" => "logout").increment(1);
        }
        Ok(())
    }

    /// The program that has this name and this secret.
    pub async fn prove(&self, name: &str, secret: &str) -> Result<Client, IdentityError> {
        // What can never be a name is not worth a look, and may hold what the database cannot (NUL).
        let sane = (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !sane {
            return Err(IdentityError::InvalidClient);
        }
        self.clients.prove(name, TokenHash::of(secret.as_bytes())).await?.ok_or(IdentityError::InvalidClient)
    }

    /// A token for a program itself.
    pub fn admit(&self, client: Client) -> Result<AccessToken, IdentityError> {
        Ok(self.tokens.issue(client.subject, client.roles, Timestamp::now())?)
    }
}
