//! One GET, with a limit on its time and on its answer, over connections that are kept for the next one. What goes
//! wrong is said in the words that follow "PD at pd0:2379 …".
//!
//! Knows addresses, and nothing of whose they are. A relay in a container asks with this too.

use std::{
    collections::HashMap,
    io::ErrorKind,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    client::conn::http1::{SendRequest, handshake},
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    assumed::{PD_FOLLOWER_HANDLE, PD_VERSION},
    tls::Tls,
};

/// How long one question may take, from the connection to the last byte.
pub const LIMIT: Duration = Duration::from_secs(1);
/// The longest answer that is read, in bytes; real TiKV's metrics are about one million.
const LONGEST: usize = 16 << 20;
/// The first byte of a TLS alert (RFC 8446, 5.1): what a TLS server says to somebody who does not speak it.
const TLS_ALERT: u8 = 0x15;

const HINT: &str = "; if it speaks TLS, give --pd-ca, --pd-cert and --pd-key";

type Connection = SendRequest<Empty<Bytes>>;

/// Where to ask, and who is meant there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// `host:port` to connect to.
    pub address: String,
    /// The host by which the server knows itself, without a port: what its certificate is for.
    pub name: String,
}

/// What was answered, whatever the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum HttpError {
    /// There is no connection; `refused` where that is the server's own word, so that the way to it is right.
    #[error("cannot be reached at {address}: {reason}")]
    Unreachable { address: String, reason: String, refused: bool },
    #[error("did not answer within {} s", LIMIT.as_secs())]
    Late,
    /// `plain` where we did not speak TLS, which may be why.
    #[error("closed the connection without an answer{}", if *plain { HINT } else { "" })]
    Closed { plain: bool },
    #[error("broke off in the middle of its answer")]
    HalfAnAnswer,
    #[error("speaks TLS: give --pd-ca, --pd-cert and --pd-key")]
    SpeaksTls,
    #[error("does not speak TLS: leave out --pd-ca, --pd-cert and --pd-key")]
    SpeaksPlain,
    #[error("cannot be talked to over TLS: {0}")]
    Tls(String),
    #[error("answered something that is not HTTP")]
    NotHttp,
    #[error("answered more than {} MiB", LONGEST >> 20)]
    TooLong,
}

impl Answer {
    /// The body, if the answer is a success and no web page; otherwise what it is instead of what was expected.
    pub fn text(&self, expected: &str) -> Result<&str, String> {
        if self.status != 200 {
            let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
            return Err(format!("answered {} {}", self.status, reason.unwrap_or_default()).trim_end().to_owned());
        }
        let page = self.content_type.starts_with("text/html") && !self.body.trim_start().starts_with(['{', '[']);
        if page || self.body.trim_start().starts_with('<') {
            return Err(format!("answered HTML, not {expected}"));
        }
        Ok(&self.body)
    }

    fn is_for_tls_speakers(&self) -> bool {
        // Go's net/http to a client that does not speak TLS.
        self.status == 400 && self.body.contains("HTTP request to an HTTPS server")
    }
}

/// Asks, and keeps connections for the next question.
#[derive(Default)]
pub struct Client {
    tls: Option<Tls>,
    idle: Mutex<HashMap<Place, Vec<Connection>>>,
}

impl Client {
    /// One that speaks TLS where it is given what that takes, and plain HTTP otherwise.
    pub fn new(tls: Option<Tls>) -> Self {
        Self { tls, idle: Mutex::default() }
    }

    pub const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub async fn get(&self, place: &Place, path: &str) -> Result<Answer, HttpError> {
        // A connection that does not come about is over at the same moment, and says so itself.
        let slack = Duration::from_millis(50);
        timeout(LIMIT + slack, self.get_patiently(place, path)).await.unwrap_or(Err(HttpError::Late))
    }

    async fn get_patiently(&self, place: &Place, path: &str) -> Result<Answer, HttpError> {
        while let Some(kept) = self.take(place) {
            match self.exchange(kept, place, path).await {
                // The server closed it while nobody looked.
                Err(HttpError::Closed { .. } | HttpError::HalfAnAnswer) => {}
                result => return result,
            }
        }
        let fresh = self.connect(place).await?;
        match self.exchange(fresh, place, path).await {
            Ok(answer) if self.tls.is_none() && answer.is_for_tls_speakers() => Err(HttpError::SpeaksTls),
            Err(HttpError::Closed { .. } | HttpError::NotHttp)
                if self.tls.is_none() && answers_with_alert(place).await =>
            {
                Err(HttpError::SpeaksTls)
            }
            Err(HttpError::Closed { .. }) => Err(HttpError::Closed { plain: self.tls.is_none() }),
            result => result,
        }
    }

    async fn connect(&self, place: &Place) -> Result<Connection, HttpError> {
        let stream = dial(place).await?;
        match &self.tls {
            None => shake_hands(stream).await,
            Some(tls) => shake_hands(tls.connect(&place.name, stream).await?).await,
        }
    }

    async fn exchange(&self, mut connection: Connection, place: &Place, path: &str) -> Result<Answer, HttpError> {
        let port = place.address.rsplit(':').next().unwrap_or_default();
        let mut request = Request::get(path).header(HOST, format!("{}:{port}", place.name));
        if path == PD_VERSION {
            // Of itself: what a member that does not lead says of anything else may be old.
            request = request.header(PD_FOLLOWER_HANDLE, "true");
        }
        let request = request.body(Empty::new()).map_err(|error| place.unreachable(error.to_string(), false))?;
        connection.ready().await.map_err(|error| explain(&error))?;
        let response = connection.send_request(request).await.map_err(|error| explain(&error))?;
        let answer = read(response).await?;
        if connection.is_ready() {
            self.keep(place, connection);
        }
        Ok(answer)
    }

    fn take(&self, place: &Place) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(place)?;
        std::iter::from_fn(|| kept.pop()).find(|connection| !connection.is_closed())
    }

    fn keep(&self, place: &Place, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, kept| {
            kept.retain(|connection| !connection.is_closed());
            !kept.is_empty()
        });
        idle.entry(place.clone()).or_default().push(connection);
    }
}

impl Place {
    fn unreachable(&self, reason: String, refused: bool) -> HttpError {
        HttpError::Unreachable { address: self.address.clone(), reason, refused }
    }
}

async fn dial(place: &Place) -> Result<TcpStream, HttpError> {
    match timeout(LIMIT, TcpStream::connect(&place.address)).await {
        Ok(Ok(stream)) => {
            // One small request a second: nothing to wait for.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) => Err(place.unreachable(words(&error), error.kind() == ErrorKind::ConnectionRefused)),
        Err(_) => Err(place.unreachable(format!("no connection within {} s", LIMIT.as_secs()), false)),
    }
}

/// The system's words without its number.
fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

async fn shake_hands(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, HttpError> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| explain(&error))?;
    // Ends with the sender. What goes wrong is told to whoever waits for an answer.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

async fn read(response: Response<Incoming>) -> Result<Answer, HttpError> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = response.status().as_u16();
    let content_type = header(CONTENT_TYPE).unwrap_or_default();
    let mut incoming = response.into_body();
    let expected = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > LONGEST {
        return Err(HttpError::TooLong);
    }
    let mut body = Vec::with_capacity(expected);
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| match explain(&error) {
            error @ HttpError::Tls(_) => error,
            _ => HttpError::HalfAnAnswer,
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if body.len() + data.len() > LONGEST {
            return Err(HttpError::TooLong);
        }
        body.extend_from_slice(&data);
    }
    let body = String::from_utf8(body).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(Answer { status, content_type, body })
}

fn explain(error: &hyper::Error) -> HttpError {
    if let Some(refusal) = Tls::refusal(error) {
        return refusal;
    }
    if error.is_parse() {
        return HttpError::NotHttp;
    }
    HttpError::Closed { plain: false }
}

/// Whether the server's first word to plain HTTP is a TLS alert.
async fn answers_with_alert(place: &Place) -> bool {
    let Ok(mut stream) = dial(place).await else { return false };
    let mut first = [0];
    let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
    stream.read_exact(&mut first).await.is_ok() && first[0] == TLS_ALERT
}
