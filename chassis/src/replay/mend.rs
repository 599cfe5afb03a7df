//! What differs between a real table and the one that was made beside it, and putting it right.

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use super::{Difference, Table};

/// One table's statements.
struct Sql {
    name: &'static str,
    /// `o.id = n.id and …`
    same_key: String,
    /// A key column of either side, which is null where that side has no row.
    probe: &'static str,
    columns: Vec<String>,
    spare: &'static str,
}

/// Compares a table and, when asked to, makes it what the events say.
pub async fn mend(
    connection: &mut PgConnection,
    table: Table,
    asked: bool,
) -> Result<Difference, sqlx::Error> {
    let sql = Sql::of(connection, table).await?;
    connection.execute(AssertSqlSafe(format!("analyze pg_temp.{}", table.name))).await?;
    let counted = connection.fetch_one(AssertSqlSafe(sql.count())).await?;
    let count = |column: &str| -> Result<u64, sqlx::Error> {
        Ok(u64::try_from(counted.try_get::<i64, _>(column)?).unwrap_or(0))
    };
    let difference = Difference {
        table,
        rows: count("rows")?,
        missing: count("missing")?,
        wrong: count("wrong")?,
        surplus: count("surplus")?,
    };
    if asked && table.mend && !difference.is_none() {
        // What has to go may stand in the way of what comes.
        for statement in [sql.remove(), sql.correct(), sql.add()] {
            connection.execute(AssertSqlSafe(statement)).await?;
        }
    }
    Ok(difference)
}

impl Sql {
    async fn of(connection: &mut PgConnection, table: Table) -> Result<Self, sqlx::Error> {
        let columns = sqlx::query_scalar(
            "select quote_ident(attname) from pg_attribute
             where attrelid = ('public.' || $1)::regclass and attnum > 0 and not attisdropped and attgenerated = ''
                 and attname <> all($2)
             order by attnum",
        )
        .bind(table.name)
        .bind(table.aside)
        .fetch_all(connection)
        .await?;
        let same_key: Vec<_> = table.key.iter().map(|column| format!("o.{column} = n.{column}")).collect();
        Ok(Self {
            name: table.name,
            same_key: same_key.join(" and "),
            probe: table.key.first().copied().unwrap_or_default(),
            columns,
            spare: table.spare,
        })
    }

    /// `o.a, o.b, …`
    fn columns_of(&self, side: &str) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| format!("{side}.{column}")).collect();
        columns.join(", ")
    }

    fn differs(&self) -> String {
        format!("row({}) is distinct from row({})", self.columns_of("o"), self.columns_of("n"))
    }

    fn count(&self) -> String {
        let Self { name, same_key, probe, spare, .. } = self;
        let differs = self.differs();
        format!(
            "select count(n.{probe}) as rows,
                count(*) filter (where o.{probe} is null) as missing,
                count(*) filter (where n.{probe} is null and not ({spare})) as surplus,
                count(*) filter (where o.{probe} is not null and n.{probe} is not null and {differs}) as wrong
             from public.{name} o full join pg_temp.{name} n on {same_key}"
        )
    }

    fn remove(&self) -> String {
        let Self { name, same_key, spare, .. } = self;
        format!(
            "delete from public.{name} o
             where not exists (select from pg_temp.{name} n where {same_key}) and not ({spare})"
        )
    }

    fn correct(&self) -> String {
        let Self { name, same_key, columns, .. } = self;
        let (columns, theirs, differs) = (columns.join(", "), self.columns_of("n"), self.differs());
        format!(
            "update public.{name} o set ({columns}) = row({theirs}) from pg_temp.{name} n
             where {same_key} and {differs}"
        )
    }

    fn add(&self) -> String {
        let Self { name, same_key, columns, .. } = self;
        let (columns, theirs) = (columns.join(", "), self.columns_of("n"));
        format!(
            "insert into public.{name} ({columns}) select {theirs} from pg_temp.{name} n
             where not exists (select from public.{name} o where {same_key})"
        )
    }
}
