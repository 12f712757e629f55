//! The little of HTTP that the stand-in's nodes speak: whole bodies, a connection each.

use std::{convert::Infallible, io, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

use super::names;

const BODY_LIMIT: usize = 16 << 20;
/// A client that sends no request for so long is hung up on.
const HEADER_LIMIT: Duration = Duration::from_secs(60);

/// By which a PD that does not lead is asked for its own answer (tikv/pd pkg/utils/apiutil/apiutil.go).
const FOLLOWER_HANDLE: &str = "pd-allow-follower-handle";

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    /// With the query.
    pub target: String,
    /// Whether a PD may answer that does not lead.
    pub follower_handle: bool,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn get(target: &str) -> Self {
        Self { method: Method::GET, target: target.to_owned(), follower_handle: false, body: vec![] }
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec_pretty(value) {
            Ok(body) => Self { status: 200, content_type: "application/json; charset=UTF-8", body },
            Err(error) => Self::text(500, &error.to_string()),
        }
    }

    pub fn text(status: u16, text: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: text.as_bytes().to_vec() }
    }

    /// Everything in the process's registry, in Prometheus's text format.
    pub fn metrics() -> Self {
        match prometheus::TextEncoder::new().encode_to_string(&prometheus::gather()) {
            Ok(text) => Self { content_type: prometheus::TEXT_FORMAT, ..Self::text(200, &text) },
            Err(error) => Self::text(500, &error.to_string()),
        }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(self.content_type));
        response
    }
}

/// Answers for ever.
pub async fn serve<F>(listener: TcpListener, answer: impl Fn(Asked) -> F + Clone + Send + 'static)
where
    F: Future<Output = Answer> + Send + 'static,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answer = answer.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer.clone();
            async move {
                let (head, body) = request.into_parts();
                let answer = match Limited::new(body, BODY_LIMIT).collect().await {
                    Ok(body) => {
                        let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
                        let follower_handle = head.headers.get(FOLLOWER_HANDLE).is_some_and(|value| !value.is_empty());
                        let body = body.to_bytes().to_vec();
                        answer(Asked { method: head.method, target, follower_handle, body }).await
                    }
                    Err(error) => Answer::text(400, &error.to_string()),
                };
                Ok::<_, Infallible>(answer.into_response())
            }
        });
        tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
            // A client that hangs up in between is its own affair.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Asks `host:port` and gives the status and the body.
///
/// # Errors
/// There is no whole answer within the limit.
pub async fn ask(address: &str, asked: Asked, limit: Duration) -> io::Result<(u16, Vec<u8>)> {
    let exchange = async {
        let stream = names::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(asked.method)
            .uri(asked.target)
            .header(header::HOST, address)
            .header(header::CONTENT_TYPE, "application/json");
        if asked.follower_handle {
            request = request.header(FOLLOWER_HANDLE, "true");
        }
        let request = request.body(Full::new(Bytes::from(asked.body))).map_err(io::Error::other)?;
        let answered = async {
            let response = sender.send_request(request).await.map_err(io::Error::other)?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await.map_err(io::Error::other)?;
            Ok((status, body.to_bytes().to_vec()))
        };
        let answered = answered.await;
        driver.abort();
        answered
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("{address} gave no answer in {limit:?}"));
    timeout(limit, exchange).await.map_err(|_| late())?
}

/// Gets JSON.
pub async fn get<T: serde::de::DeserializeOwned>(address: &str, path: &str, limit: Duration) -> io::Result<T> {
    let (status, body) = ask(address, Asked::get(path), limit).await?;
    if status != 200 {
        return Err(io::Error::other(format!("{address}{path} answered {status}: {}", String::from_utf8_lossy(&body))));
    }
    Ok(serde_json::from_slice(&body)?)
}
