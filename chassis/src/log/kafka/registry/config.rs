//! How to reach the schema registry.

use reqwest::Url;

use crate::config::{ConfigError, Env};

/// The variable that turns it on.
const URL: &str = "SCHEMA_REGISTRY_URL";

/// Where the schema registry is, and what is agreed with it.
#[derive(Clone)]
pub struct RegistryConfig {
    /// Its addresses; any of them will do.
    pub(super) urls: Vec<Url>,
    /// User and password, for HTTP's basic authentication.
    pub(super) credentials: Option<(String, String)>,
    /// A service registers a schema that is not there yet. Otherwise `viscount migrate` has to.
    pub auto_register: bool,
}

impl std::fmt::Debug for RegistryConfig {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let urls: Vec<&str> = self.urls.iter().map(Url::as_str).collect();
        f.debug_struct("RegistryConfig")
            .field("urls", &urls)
            .field("auto_register", &self.auto_register)
            .finish()
    }
}

impl RegistryConfig {
    /// A registry at these addresses, separated by commas, without a password.
    pub fn new(urls: &str) -> Result<Self, ConfigError> {
        let urls = urls.split(',').map(|url| address(url.trim())).collect::<Option<Vec<_>>>();
        let problem = "is not a list of http or https addresses, separated by commas; a user and a password are set by \
                       SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD";
        let urls = urls.ok_or_else(|| ConfigError::new(URL, problem))?;
        Ok(Self { urls, credentials: None, auto_register: true })
    }

    /// Reads `SCHEMA_REGISTRY_URL` and its companions; `None` when there is no registry.
    pub fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let Some(urls) = env.get(URL) else { return Ok(None) };
        let mut config = Self::new(urls)?;
        config.auto_register = env.bool_or("SCHEMA_REGISTRY_AUTO_REGISTER", true)?;
        let (user, password) = (env.get("SCHEMA_REGISTRY_USERNAME"), env.get("SCHEMA_REGISTRY_PASSWORD"));
        config.credentials = match (user, password) {
            (Some(user), password) => Some((user.to_owned(), password.unwrap_or_default().to_owned())),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(ConfigError::new(
                    "SCHEMA_REGISTRY_USERNAME",
                    "must be set, for there is a password",
                ));
            }
        };
        Ok(Some(config))
    }
}

/// An address to which a path may be added.
fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    let bare = url.query().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && plain && bare).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Result<Option<RegistryConfig>, ConfigError> {
        RegistryConfig::from_env(&Env::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn a_wrong_setting_is_one_line_that_does_not_repeat_it() {
        assert!(env(&[]).unwrap().is_none());
        let two = env(&[(URL, "http://a:8081, https://b/path/")]).unwrap().unwrap();
        assert_eq!(two.urls.len(), 2);
        for wrong in
            ["a:8081", "ftp://a", "http://", "http://u:hunter2@a", "http://a,,http://b", "http://a?hunter2"]
        {
            let error = env(&[(URL, wrong)]).unwrap_err();
            assert_eq!(error.variable, URL, "{wrong}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let nobody = env(&[(URL, "http://a"), ("SCHEMA_REGISTRY_PASSWORD", "hunter2")]).unwrap_err();
        assert_eq!(nobody.variable, "SCHEMA_REGISTRY_USERNAME");
        assert!(env(&[(URL, "http://a"), ("SCHEMA_REGISTRY_AUTO_REGISTER", "perhaps")]).is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let pairs =
            [(URL, "http://a"), ("SCHEMA_REGISTRY_USERNAME", "u"), ("SCHEMA_REGISTRY_PASSWORD", "hunter2")];
        let config = env(&pairs).unwrap().unwrap();
        assert!(config.credentials.is_some());
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
