//! One database and one role for each service, made when they are missing: on the private server and on one
//! given by `DATABASE_URL`.

use std::time::Duration;

use reqwest::Url;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::DevPgError;

/// Serialises the making of roles and databases on one server; concurrent changes of one catalog row are an
/// error to PostgreSQL.
const LOCK: i64 = 0x0056_4953_434f_554e;
/// For all of it; a server that is not there must not hold up a start for the system's connect timeout.
const DEADLINE: Duration = Duration::from_secs(30);

/// Makes a role (may log in, nothing more) and a database it owns, where missing; nobody else may connect.
/// Answers the role's URL for it.
///
/// Can be called any number of times, by several processes at once. The role's password becomes the one
/// given. The administrator needs `CREATEROLE` and `CREATEDB`, not superuser.
pub async fn provision(
    admin_url: &str,
    database: &str,
    role: &str,
    password: &str,
) -> Result<String, DevPgError> {
    let work = provision_unbounded(admin_url, database, role, password);
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| {
        let source = sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::TimedOut));
        Err(DevPgError::Sql { doing: format!("setting up database {database}"), source })
    })
}

/// The same without a deadline, for tests under paused time.
pub(super) async fn provision_unbounded(
    admin_url: &str,
    database: &str,
    role: &str,
    password: &str,
) -> Result<String, DevPgError> {
    let url = url_for(admin_url, database, role, password)?;
    let doing = format!("setting up database {database}");
    let mut admin = PgConnection::connect(admin_url).await.map_err(DevPgError::sql(doing.clone()))?;
    let made = make(&mut admin, database, role, password).await;
    // Closing gives the advisory lock back; the server sees to that too when the connection just ends.
    let closed = admin.close().await;
    made.and(closed).map_err(DevPgError::sql(doing))?;
    Ok(url)
}

async fn make(
    admin: &mut PgConnection,
    database: &str,
    role: &str,
    password: &str,
) -> Result<(), sqlx::Error> {
    admin.execute("set lock_timeout = '20s'; set standard_conforming_strings = on").await?;
    sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut *admin).await?;
    let state = sqlx::query(
        "select exists(select from pg_roles where rolname = $1) as role_there,
                exists(select from pg_database where datname = $2) as database_there,
                (select rolsuper from pg_roles where rolname = current_user) as superuser,
                current_user = $1 as oneself",
    )
    .bind(role)
    .bind(database)
    .fetch_one(&mut *admin)
    .await?;
    let (role_name, database_name) = (identifier(role)?, identifier(database)?);
    let login = format!("login password {}", literal(password)?);
    if !state.try_get::<bool, _>("role_there")? {
        run(admin, format!("create role {role_name} {login}")).await?;
    } else if !state.try_get::<bool, _>("oneself")? {
        run(admin, format!("alter role {role_name} {login}")).await?;
    }
    if !state.try_get::<bool, _>("database_there")? {
        if !state.try_get::<bool, _>("superuser")? && !state.try_get::<bool, _>("oneself")? {
            // Only a member may give a database to a role.
            run(admin, format!("grant {role_name} to current_user")).await?;
        }
        run(
            admin,
            format!("create database {database_name} owner {role_name} encoding 'UTF8' template template0"),
        )
        .await?;
    }
    let open = sqlx::query(
        "select has_database_privilege('public', $1, 'connect')
             or has_database_privilege('public', $1, 'temporary') as open",
    )
    .bind(database)
    .fetch_one(&mut *admin)
    .await?;
    if open.try_get::<bool, _>("open")? {
        run(admin, format!("revoke all on database {database_name} from public")).await?;
    }
    Ok(())
}

/// Statements that take no parameters; every part comes from [`identifier`] or [`literal`].
async fn run(admin: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    admin.execute(AssertSqlSafe(statement)).await.map(drop)
}

/// A quoted name.
pub(super) fn identifier(name: &str) -> Result<String, sqlx::Error> {
    // Longer names are cut silently by the server: two could become one.
    if name.is_empty() || name.len() > 63 || name.contains('\0') {
        return Err(sqlx::Error::Protocol(format!("{name:?} is not a name of 1 to 63 bytes")));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// A quoted text; needs `standard_conforming_strings`.
fn literal(text: &str) -> Result<String, sqlx::Error> {
    if text.contains('\0') {
        return Err(sqlx::Error::Protocol("a password cannot hold a NUL".into()));
    }
    Ok(format!("'{}'", text.replace('\'', "''")))
}

/// The administrator's URL with another user, password and database; host, port and options stay.
fn url_for(admin_url: &str, database: &str, role: &str, password: &str) -> Result<String, DevPgError> {
    // The URL holds a password: errors never show it.
    let unfit = |_| DevPgError::Url("it must look like postgres://user:password@host:port/database".into());
    let mut url = Url::parse(admin_url).map_err(|_| unfit(()))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(unfit(()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        // As in `postgres:///postgres?host=/run/postgresql`: the option wins over what stands here.
        url.set_host(Some("localhost")).map_err(|_| unfit(()))?;
    }
    url.set_username(role).map_err(unfit)?;
    url.set_password(Some(password)).map_err(unfit)?;
    url.path_segments_mut().map_err(unfit)?.clear().push(database);
    Ok(url.into())
}

/// A URL on the private server.
pub(super) fn url(port: u16, user: &str, password: &str, database: &str) -> String {
    let base = format!("postgres://127.0.0.1:{port}/");
    // The base is ours and always fits.
    url_for(&base, database, user, password).unwrap_or(base)
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn urls_keep_the_server_and_change_the_rest() {
        let cases = [
            (
                "postgres://a:b@db.example:6543/postgres?sslmode=require",
                "postgres://orders:p%40ss%2Fw@db.example:6543/order_db?sslmode=require",
            ),
            ("postgresql://db.example", "postgresql://orders:p%40ss%2Fw@db.example/order_db"),
            (
                "postgres:///postgres?host=/run/postgresql",
                "postgres://orders:p%40ss%2Fw@localhost/order_db?host=/run/postgresql",
            ),
        ];
        for (admin, wanted) in cases {
            assert_eq!(url_for(admin, "order_db", "orders", "p@ss/w").expect("fits"), wanted);
        }
        let options: sqlx::postgres::PgConnectOptions =
            url(4711, "o'neill", "a b", "d/b").parse().expect("sqlx reads it");
        assert_eq!(
            (options.get_port(), options.get_username(), options.get_database()),
            (4711, "o'neill", Some("d/b"))
        );
    }

    #[test]
    fn a_wrong_url_is_refused_without_telling_its_password() {
        for admin in ["mysql://a:secret@h/d", "not a url secret", ""] {
            let error = url_for(admin, "d", "r", "p").expect_err("not postgres").to_string();
            assert!(error.contains("not a PostgreSQL url") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn names_and_passwords_cannot_break_out_of_their_quotes() {
        assert_eq!(identifier("a\"; drop table x; --").expect("quoted"), "\"a\"\"; drop table x; --\"");
        assert_eq!(literal("it's").expect("quoted"), "'it''s'");
        assert!(
            identifier("").is_err() && identifier(&"x".repeat(64)).is_err() && identifier("a\0b").is_err()
        );
        assert!(literal("a\0b").is_err());
    }
}
