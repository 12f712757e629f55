//! The two ways to a Docker elsewhere that need a hand: TLS with our own checked certificates, and a child of `ssh`
//! that carries the connection to the daemon there (`docker system dial-stdio`), as Docker's own command line does it.

use std::{
    io,
    pin::Pin,
    process::Stdio,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bollard::{BollardRequest, Docker, errors::Error};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};

use super::endpoint::{SshTarget, TlsFiles, authority};

/// Docker's port where TLS is spoken and none is named.
const TLS_PORT: u16 = 2376;
/// How long a connection may take to stand.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of what `ssh` says is kept for the error, and how long it is waited for once the connection is over.
const SAID: u64 = 4096;
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A client over TLS. The files are read now, so that what is wrong with them is said at once.
pub fn over_tls(host: &str, files: &TlsFiles, limit: Duration) -> Result<Docker, String> {
    let rest = host.split_once("://").map_or(host, |(_, rest)| rest);
    let (name, port) = authority(rest)?;
    let server = ServerName::try_from(name.clone()).map_err(|_| format!("{name:?} is no name for a certificate"))?;
    let connector = TlsConnector::from(Arc::new(client_config(files)?));
    let dialer = Dialer::Tls { connector, server, address: (name, port.unwrap_or(TLS_PORT)) };
    client(dialer, limit)
}

/// A client whose every connection is a child of `ssh`.
pub fn over_ssh(target: &SshTarget, limit: Duration) -> Result<Docker, String> {
    client(Dialer::Ssh(target.clone()), limit)
}

fn client(dialer: Dialer, limit: Duration) -> Result<Docker, String> {
    let client: Client<Dialer, _> = Client::builder(TokioExecutor::new()).build(dialer);
    let client = Arc::new(client);
    let send = move |request: BollardRequest| {
        let client = Arc::clone(&client);
        async move { client.request(request).await.map_err(Error::from) }
    };
    // The name is only the requests' Host; the dialer knows where to go.
    let docker = Docker::connect_with_custom_transport(
        send,
        Some("http://docker"),
        limit.as_secs(),
        bollard::API_DEFAULT_VERSION,
    );
    docker.map_err(|error| error.to_string())
}

fn client_config(files: &TlsFiles) -> Result<ClientConfig, String> {
    let certificates = |path: &std::path::Path| -> Result<Vec<CertificateDer<'static>>, String> {
        let bad = |reason: String| format!("{} cannot be used: {reason}", path.display());
        let text = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match found {
            Ok(found) if found.is_empty() => Err(bad("there is no certificate in it".to_owned())),
            Ok(found) => Ok(found),
            Err(error) => Err(bad(format!("it is no PEM file: {error}"))),
        }
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.ca)? {
        roots.add(certificate).map_err(|error| format!("{} cannot be used: {error}", files.ca.display()))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let Some((cert, key)) = &files.own else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| format!("{} cannot be used: there is no private key in it ({error})", key.display()))?;
    builder
        .with_client_auth_cert(chain, private)
        .map_err(|error| format!("{} with {} cannot be used: {error}", cert.display(), key.display()))
}

/// Makes connections.
#[derive(Clone)]
enum Dialer {
    Tls { connector: TlsConnector, server: ServerName<'static>, address: (String, u16) },
    Ssh(SshTarget),
}

impl tower_service::Service<hyper::Uri> for Dialer {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Wire>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: hyper::Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.dial().await.map(TokioIo::new) })
    }
}

impl Dialer {
    async fn dial(self) -> io::Result<Wire> {
        match self {
            Self::Tls { connector, server, address: (name, port) } => {
                let dial = async {
                    let stream = TcpStream::connect((name.as_str(), port)).await?;
                    connector.connect(server, stream).await
                };
                let stream = timeout(PATIENCE, dial).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                Ok(Wire::Tls(Box::new(stream)))
            }
            Self::Ssh(target) => dial_ssh(&target).map(|remote| Wire::Ssh(Box::new(remote))),
        }
    }
}

/// As Docker does it. `BatchMode`, because the terminal is the screen's and nobody could answer a question.
fn dial_ssh(target: &SshTarget) -> io::Result<Remote> {
    let mut command = Command::new("ssh");
    command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]);
    if let Some(user) = &target.user {
        command.args(["-l", user]);
    }
    if let Some(port) = target.port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", &target.host, "docker"]);
    if let Some(socket) = &target.socket {
        command.args(["--host", &format!("unix://{socket}")]);
    }
    command.args(["system", "dial-stdio"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other("the program ssh is not there: an ssh:// Docker needs it"),
        _ => io::Error::other(format!("cannot start ssh: {error}")),
    })?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::Error::other("ssh was started without its streams"));
    };
    // Read on to the end, or ssh would wait for us once its pipe is full.
    let said = tokio::spawn(async move {
        let mut text = Vec::new();
        let mut stderr = stderr.take(SAID);
        let _ = stderr.read_to_end(&mut text).await;
        let mut rest = stderr.into_inner();
        tokio::spawn(async move { tokio::io::copy(&mut rest, &mut tokio::io::sink()).await });
        String::from_utf8_lossy(&text).into_owned()
    });
    let last_words = Box::pin(async move {
        let text = timeout(LAST_WORDS, said).await.ok().and_then(Result::ok).unwrap_or_default();
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it ended without a word");
        format!("ssh: {}", last.chars().filter(|one| !one.is_control()).collect::<String>())
    });
    Ok(Remote { _child: child, stdin, stdout, last_words, answered: false, asked: false, reader: None })
}

/// A connection.
enum Wire {
    Tls(Box<TlsStream<TcpStream>>),
    Ssh(Box<Remote>),
}

/// The two streams of `ssh`, which is killed when they are dropped.
struct Remote {
    _child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// What `ssh` says at its end: the error where it never answered.
    last_words: Pin<Box<dyn Future<Output = String> + Send>>,
    answered: bool,
    /// Whether anything was written. An `ssh` that ends before is not reported until then: the client would call the
    /// connection "not ready" and lose what `ssh` said.
    asked: bool,
    /// Who waits for that.
    reader: Option<Waker>,
}

impl AsyncRead for Remote {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.stdout).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.answered = true;
        }
        if self.answered {
            return Poll::Ready(Ok(()));
        }
        if !self.asked {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let reason = std::task::ready!(self.last_words.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::other(reason)))
    }
}

impl Remote {
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Pin::new(&mut self.stdin).poll_write(cx, bytes)
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Ssh(remote) => Pin::new(remote).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            // Where it is gone already, what it said is read and tells more than the broken pipe.
            Self::Ssh(remote) => match remote.write(cx, bytes) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe && !remote.answered => {
                    remote.last_words.as_mut().poll(cx).map(|reason| Err(io::Error::other(reason)))
                }
                written => written,
            },
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Ssh(remote) => Pin::new(&mut remote.stdin).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Ssh(remote) => Pin::new(&mut remote.stdin).poll_shutdown(cx),
        }
    }
}
