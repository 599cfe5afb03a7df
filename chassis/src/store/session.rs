//! Sessions that hold an advisory lock, and end when their client has fallen silent.
//!
//! The lock lives as long as the session on the server. A process that ends closes its socket, and the session ends with
//! it. A host that vanishes closes nothing: the server would find out by the kernel's keepalive, which by default takes
//! two hours. So whoever holds a lock asks for an end after [`SILENCE`], and says something much more often.

use std::time::Duration;

use sqlx::PgConnection;

/// How long a holder may be silent. The longest silence of a holder that lives is a pause of its process.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// From now on the server ends this session after [`SILENCE`] (`idle_session_timeout`, PostgreSQL 14 and later).
pub(crate) async fn end_when_silent(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let limit = SILENCE.as_millis().to_string();
    let set = sqlx::query("select set_config('idle_session_timeout', $1, false)");
    set.bind(limit).execute(connection).await.map(drop)
}
