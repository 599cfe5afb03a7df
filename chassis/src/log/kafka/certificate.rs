//! A second look at a broker's certificate that was not accepted, to say what is wrong with it.
//!
//! OpenSSL tells librdkafka, and librdkafka us, that a certificate "could not be verified", whatever the cause. This
//! dials the same broker with rustls, which knows the cause, and hangs up. No name, password or certificate of ours is
//! sent.

use std::{sync::Arc, time::Duration};

use rustls::{
    CertificateError, ClientConfig, Error, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// How long the look may take.
const PATIENCE: Duration = Duration::from_millis(300);

/// What is wrong with the certificate of the broker that this message of librdkafka is about; nothing when that
/// cannot be told. `authorities` is a file of PEM certificates.
pub(super) async fn fault(message: &str, authorities: &str) -> Option<String> {
    let (_, rest) = message.split_once("://")?;
    let address = rest.split(['/', ' ']).next()?.trim_end_matches(':');
    let host = address.rsplit_once(':')?.0.trim_matches(['[', ']']);
    let fault = timeout(PATIENCE, look(address, host, authorities)).await.ok()??;
    Some(format!("{address}: the broker's certificate {fault}"))
}

async fn look(address: &str, host: &str, authorities: &str) -> Option<String> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(authorities).ok()? {
        roots.add(authority.ok()?).ok()?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let stream = TcpStream::connect(address).await.ok()?;
    let refused = TlsConnector::from(Arc::new(config)).connect(name, stream).await.err()?;
    let Some(Error::InvalidCertificate(fault)) = refused.get_ref()?.downcast_ref::<Error>() else {
        return None;
    };
    Some(in_words(fault, host))
}

fn in_words(fault: &CertificateError, host: &str) -> String {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("is for another host than {host}")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is not signed by an authority of KAFKA_SSL_CA_LOCATION".to_owned()
        }
        other => format!("is not accepted: {other}"),
    }
}
