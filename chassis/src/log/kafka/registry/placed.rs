//! Where schemas are registered: found, or put there, and how those of a subject have to fit each other.

use std::collections::BTreeMap;

use viscount_contracts::{Schema, Topic};

use super::{
    Registry, RegistryError,
    client::{Reference, Registered},
};

/// A new schema has to read what was written with any one before it: events stay for ever. The other direction is not
/// asked for, because to registries a new message at the end of the file would be a violation of it, and to us it is a
/// new kind of event, which older readers pass over.
const LEVEL: &str = "BACKWARD_TRANSITIVE";

/// What was done about a subject, or should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaReport {
    /// Its name in the registry.
    pub subject: String,
    /// The schema's id.
    pub id: u32,
    /// Its number within the subject.
    pub version: i32,
    /// It was registered just now.
    pub registered: bool,
    /// Where the subject is not as it should be.
    pub difference: Option<String>,
}

/// A schema that is in the registry.
pub(super) struct Placed {
    subject: String,
    pub(super) id: u32,
    version: i32,
    registered: bool,
}

impl Registry {
    /// Registers every schema that is missing, and says where a subject's compatibility level is not as it should be.
    /// What is set is not changed.
    pub(in crate::log::kafka) async fn migrate(&self) -> Result<Vec<SchemaReport>, RegistryError> {
        let mut reports = BTreeMap::new();
        for topic in Topic::ALL {
            for import in topic.schema().imports {
                let placed = self.ensure(self.import(import), import, &[], true).await?;
                self.report(placed, &mut reports).await?;
            }
            let placed = self.place(topic, true).await?;
            self.report(placed, &mut reports).await?;
        }
        Ok(reports.into_values().collect())
    }

    async fn report(
        &self,
        placed: Placed,
        reports: &mut BTreeMap<String, SchemaReport>,
    ) -> Result<(), RegistryError> {
        let Placed { subject, id, version, registered } = placed;
        if reports.contains_key(&subject) {
            return Ok(());
        }
        let difference = match self.client.level(&subject).await? {
            None => {
                self.client.set_level(&subject, LEVEL).await?;
                None
            }
            Some(level) if level == LEVEL => None,
            Some(level) => Some(format!("compatibility is {level}, should be {LEVEL}")),
        };
        reports.insert(subject.clone(), SchemaReport { subject, id, version, registered, difference });
        Ok(())
    }

    /// Finds a topic's schema and what it imports. With `register`, what is missing is put there.
    pub(super) async fn place(&self, topic: Topic, register: bool) -> Result<Placed, RegistryError> {
        let schema = topic.schema();
        let mut references = Vec::with_capacity(schema.imports.len());
        for import in schema.imports {
            let Placed { subject, version, .. } =
                self.ensure(self.import(import), import, &[], register).await?;
            references.push(Reference { name: import.file.to_owned(), subject, version });
        }
        self.ensure(self.subject(topic), schema, &references, register).await
    }

    /// The name under which a file that others import is registered.
    fn import(&self, schema: &Schema) -> String {
        format!("{}{}", self.prefix, schema.file)
    }

    async fn ensure(
        &self,
        subject: String,
        schema: &Schema,
        references: &[Reference],
        register: bool,
    ) -> Result<Placed, RegistryError> {
        if let Some(Registered { id, version }) =
            self.client.lookup(&subject, schema.text, references).await?
        {
            return Ok(Placed { subject, id, version, registered: false });
        }
        if !register {
            return Err(RegistryError::NotRegistered(subject));
        }
        if self.client.level(&subject).await?.is_none() {
            self.client.set_level(&subject, LEVEL).await?;
        }
        let id = self.client.register(&subject, schema.text, references).await?;
        // Its number within the subject is what a schema that imports it names.
        let found = self.client.lookup(&subject, schema.text, references).await?;
        let version = found.map(|found| found.version);
        let version = version.ok_or_else(|| {
            RegistryError::Unavailable(format!("{subject} does not show yet what was registered"))
        })?;
        Ok(Placed { subject, id, version, registered: true })
    }
}
