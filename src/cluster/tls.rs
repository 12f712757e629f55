//! TLS to PD and TiKV, with the same three files that PD's and TiKV's own tools take.

use std::{error::Error, fmt, io, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, AlertDescription, CertificateError, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};

use super::http::HttpError;

/// The text of the files, so that a relay elsewhere can speak TLS too.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pem {
    ca: String,
    /// Certificate and key of this client.
    own: Option<(String, String)>,
}

/// A key is nothing for a log.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem")
    }
}

/// A checked set of certificates.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    pub pem: Pem,
}

/// What is wrong with the files or with which of them were given.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    #[error("{flag} {path:?} cannot be read: {reason}")]
    Unreadable { flag: &'static str, path: String, reason: String },
    #[error("{what} cannot be used: {reason}")]
    Bad { what: &'static str, reason: String },
    #[error("{given} needs {missing} too")]
    Incomplete { given: &'static str, missing: &'static str },
}

const CA: &str = "--pd-ca";
const CERT: &str = "--pd-cert";
const KEY: &str = "--pd-key";

impl Tls {
    /// From PEM files; `None` where none is named.
    pub fn from_files(
        ca: Option<&Path>,
        cert: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Option<Self>, TlsFileError> {
        let incomplete = |given, missing| Err(TlsFileError::Incomplete { given, missing });
        let (ca, own) = match (ca, cert, key) {
            (None, None, None) => return Ok(None),
            (_, Some(_), None) => return incomplete(CERT, KEY),
            (_, None, Some(_)) => return incomplete(KEY, CERT),
            (None, Some(_), Some(_)) => return incomplete(CERT, CA),
            (Some(ca), None, None) => (read(CA, ca)?, None),
            (Some(ca), Some(cert), Some(key)) => (read(CA, ca)?, Some((read(CERT, cert)?, read(KEY, key)?))),
        };
        Self::new(Pem { ca, own }).map(Some)
    }

    pub fn new(pem: Pem) -> Result<Self, TlsFileError> {
        let bad = |what: &'static str| move |reason: String| TlsFileError::Bad { what, reason };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&pem.ca).map_err(bad(CA))? {
            roots.add(certificate).map_err(|error| bad(CA)(error.to_string()))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad("TLS")(error.to_string()))?
            .with_root_certificates(roots);
        let config = match &pem.own {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = certificates(cert).map_err(bad(CERT))?;
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                    .map_err(|_| bad(KEY)("there is no private key in it".to_owned()))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| bad("--pd-cert with --pd-key")(error.to_string()))?
            }
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), pem })
    }

    /// Speaks TLS over a connection to the server of that name.
    pub(super) async fn connect(&self, name: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, HttpError> {
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| HttpError::Tls(format!("{name:?} is no name for a certificate")))?;
        self.connector.connect(server, stream).await.map_err(|error| explain(name, &error))
    }

    /// What a server's end of TLS said after the handshake, where that is why a request failed: with TLS 1.3 a client
    /// learns only then that its certificate was refused.
    pub(super) fn refusal(error: &(dyn Error + 'static)) -> Option<HttpError> {
        let mut sources = std::iter::successors(error.source(), |error| (*error).source());
        sources.find_map(|error| error.downcast_ref::<io::Error>()).and_then(of_rustls).map(|error| told(None, error))
    }
}

fn read(flag: &'static str, path: &Path) -> Result<String, TlsFileError> {
    std::fs::read_to_string(path).map_err(|error| TlsFileError::Unreadable {
        flag,
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err("there is no certificate in it".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("it is no PEM file: {error}")),
    }
}

fn of_rustls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn explain(name: &str, error: &io::Error) -> HttpError {
    match of_rustls(error) {
        Some(error) => told(Some(name), error),
        None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            HttpError::Closed { plain: false }
        }
        None => HttpError::Tls(error.to_string()),
    }
}

fn told(name: Option<&str>, error: &rustls::Error) -> HttpError {
    use AlertDescription as Alert;
    match error {
        rustls::Error::InvalidMessage(_) => HttpError::SpeaksPlain,
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            HttpError::Tls("its certificate is not signed by the authority in --pd-ca".to_owned())
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => HttpError::Tls(format!("its certificate is not for {}", name.unwrap_or("that name"))),
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::DecryptError
            | Alert::AccessDenied
            | Alert::HandshakeFailure,
        ) => HttpError::Tls("it wants another certificate of ours: give --pd-cert and --pd-key".to_owned()),
        other => HttpError::Tls(other.to_string()),
    }
}
