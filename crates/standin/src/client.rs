//! A client of the stand-in: finds regions through PD and leaders through their stores, and says of each operation
//! what is known of it, so that a history of them can be checked.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, sleep, timeout_at},
};

use super::{
    http, names,
    net::{Hello, read_frame, write_frame},
    wire::{Op, Reply, Request},
};
use tikv_chaos_core::assumed::{PD_REGIONS, PD_STORES};

/// Between two tries of one operation: the first, and what they double to, as client-go's do while a region has no leader
/// (config/retry/config.go, BoRegionScheduling). Many workers would else send many times their rate.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long one PD has to answer.
const PD_PATIENCE: Duration = Duration::from_secs(1);

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    Ok(T),
    /// It had no effect and will have none.
    Failed(String),
    /// It may have had an effect, or may have one later.
    Unknown(String),
}

impl<T> Outcome<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Ok(value) => Outcome::Ok(change(value)),
            Self::Failed(why) => Outcome::Failed(why),
            Self::Unknown(why) => Outcome::Unknown(why),
        }
    }
}

#[derive(Debug, Clone)]
struct Route {
    region: u64,
    start: Vec<u8>,
    end: Vec<u8>,
    /// Addresses of the region's stores; the first is tried first.
    stores: Vec<String>,
}

/// Shared by everybody in a process who reads and writes.
#[derive(Debug)]
pub struct Client {
    pds: Vec<String>,
    routes: Mutex<Vec<Route>>,
    /// Connections at rest, by address.
    idle: Mutex<HashMap<String, Vec<TcpStream>>>,
    /// How long one store has to answer.
    patience: Duration,
}

/// How one exchange with one store went.
enum Exchange {
    Reply(Reply),
    /// The request never left.
    Unsent(String),
    /// It left, and no answer came.
    Unanswered(String),
}

/// The next pause between two tries of one operation.
struct Pause(Duration);

impl Pause {
    async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (2 * self.0).min(LONGEST_PAUSE);
    }
}

impl Client {
    /// `pds` are `host:port`. An answer by a store that takes longer than `patience` is not waited for.
    pub fn new(pds: Vec<String>, patience: Duration) -> Self {
        Self { pds, routes: Mutex::default(), idle: Mutex::default(), patience }
    }

    /// Tries until `limit` from now is over. A put that may have been done is not tried again.
    pub async fn put(&self, key: &str, value: &str, limit: Duration) -> Outcome<()> {
        let op = Op::Put { key: key.to_owned(), value: value.to_owned() };
        self.run(op, limit).await.map(drop)
    }

    /// Tries until `limit` from now is over.
    pub async fn get(&self, key: &str, limit: Duration) -> Outcome<Option<String>> {
        self.run(Op::Get { key: key.to_owned() }, limit).await
    }

    async fn run(&self, op: Op, limit: Duration) -> Outcome<Option<String>> {
        let end = Instant::now() + limit;
        let is_put = matches!(op, Op::Put { .. });
        let mut why = "there was no time".to_owned();
        let mut pause = Pause(PAUSE);
        // Stores that each take another for the leader may send an operation to and fro.
        let mut follows_hint = true;
        while Instant::now() < end {
            let route = match self.route(op.key()).await {
                Ok(route) => route,
                Err(error) => {
                    why = error.to_string();
                    pause.wait().await;
                    continue;
                }
            };
            let Some(address) = route.stores.first() else { break };
            let request = Request { region: route.region, op: op.clone() };
            match self.exchange(address, &request, end.min(Instant::now() + self.patience)).await {
                Exchange::Reply(Reply::Done) => return Outcome::Ok(None),
                Exchange::Reply(Reply::Value(value)) => return Outcome::Ok(value),
                Exchange::Reply(Reply::NotLeader(Some(leader))) if leader != *address => {
                    why = format!("{address} is not the leader");
                    self.prefer(route.region, &leader);
                    if std::mem::take(&mut follows_hint) {
                        continue;
                    }
                }
                Exchange::Reply(Reply::Undetermined) if is_put => {
                    return Outcome::Unknown(format!("{address} does not know"));
                }
                Exchange::Reply(reply @ (Reply::DiskFull | Reply::ReadIndexNotReady)) => {
                    why = format!("{address}: {reply:?}")
                }
                Exchange::Reply(reply) => {
                    why = format!("{address}: {reply:?}");
                    self.avoid(route.region, address);
                }
                Exchange::Unanswered(error) => {
                    self.avoid(route.region, address);
                    if is_put {
                        return Outcome::Unknown(format!("{address}: {error}"));
                    }
                    why = format!("{address}: {error}");
                }
                Exchange::Unsent(error) => {
                    self.avoid(route.region, address);
                    why = format!("{address}: {error}");
                }
            }
            pause.wait().await;
        }
        Outcome::Failed(why)
    }

    async fn exchange(&self, address: &str, request: &Request, end: Instant) -> Exchange {
        let Ok(bytes) = serde_json::to_vec(request) else { return Exchange::Unsent("it is no JSON".to_owned()) };
        let rested = lock(&self.idle).get_mut(address).and_then(Vec::pop);
        let stream = match rested {
            Some(stream) => Ok(stream),
            None => match timeout_at(end, connect(address)).await {
                Ok(connected) => connected,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        };
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(error) => return Exchange::Unsent(error.to_string()),
        };
        let asked = async {
            write_frame(&mut stream, &bytes).await?;
            stream.flush().await?;
            let frame = read_frame(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            Ok::<Reply, io::Error>(serde_json::from_slice(&frame)?)
        };
        match timeout_at(end, asked).await {
            Ok(Ok(reply)) => {
                lock(&self.idle).entry(address.to_owned()).or_default().push(stream);
                Exchange::Reply(reply)
            }
            Ok(Err(error)) => Exchange::Unanswered(error.to_string()),
            Err(_) => Exchange::Unanswered("no answer in time".to_owned()),
        }
    }

    async fn route(&self, key: &str) -> io::Result<Route> {
        if let Some(route) = self.known(key) {
            return Ok(route);
        }
        let mut last = io::Error::other("no PD to ask");
        for pd in &self.pds {
            match routes(pd).await {
                Ok(routes) => {
                    *lock(&self.routes) = routes;
                    return self.known(key).ok_or_else(|| io::Error::other(format!("{pd} knows no region for {key}")));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn known(&self, key: &str) -> Option<Route> {
        let key = key.as_bytes();
        let routes = lock(&self.routes);
        let holds = |route: &&Route| key >= &route.start[..] && (route.end.is_empty() || key < &route.end[..]);
        routes.iter().find(holds).cloned()
    }

    fn prefer(&self, region: u64, address: &str) {
        if let Some(route) = lock(&self.routes).iter_mut().find(|route| route.region == region) {
            route.stores.retain(|store| store != address);
            route.stores.insert(0, address.to_owned());
        }
    }

    /// Tries another store of the region the next time, unless somebody else found that out already.
    fn avoid(&self, region: u64, address: &str) {
        lock(&self.idle).remove(address);
        if let Some(route) = lock(&self.routes).iter_mut().find(|route| route.region == region)
            && route.stores.first().is_some_and(|first| first == address)
        {
            route.stores.rotate_left(1);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let mut stream = names::connect(address).await?;
    stream.set_nodelay(true)?;
    write_frame(&mut stream, &serde_json::to_vec(&Hello::Client)?).await?;
    Ok(stream)
}

/// Every region, as PD tells it.
async fn routes(pd: &str) -> io::Result<Vec<Route>> {
    let stores: Value = http::get(pd, PD_STORES, PD_PATIENCE).await?;
    let regions: Value = http::get(pd, PD_REGIONS, PD_PATIENCE).await?;
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let addresses: HashMap<u64, String> = list(&stores, "stores")
        .iter()
        .filter_map(|one| Some((one["store"]["id"].as_u64()?, one["store"]["address"].as_str()?.to_owned())))
        .collect();
    let routes = list(&regions, "regions").into_iter().filter_map(|region| {
        let mut on: Vec<u64> = list(&region, "peers").iter().filter_map(|peer| peer["store_id"].as_u64()).collect();
        let leader = region["leader"]["store_id"].as_u64();
        on.sort_by_key(|store| Some(*store) != leader);
        Some(Route {
            region: region["id"].as_u64()?,
            start: unhex(region["start_key"].as_str()?)?,
            end: unhex(region["end_key"].as_str()?)?,
            stores: on.iter().filter_map(|store| addresses.get(store).cloned()).collect(),
        })
    });
    Ok(routes.collect())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes().chunks(2).map(|pair| Some((digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    /// A store that sends every request to the other one.
    async fn refuse(listener: TcpListener, other: String, asked: Arc<AtomicUsize>) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (other, asked) = (other.clone(), Arc::clone(&asked));
            tokio::spawn(async move {
                let _hello = read_frame(&mut stream).await.unwrap();
                while let Ok(Some(_)) = read_frame(&mut stream).await {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let reply = serde_json::to_vec(&Reply::NotLeader(Some(other.clone()))).unwrap();
                    write_frame(&mut stream, &reply).await.unwrap();
                }
            });
        }
    }

    #[tokio::test]
    async fn stores_that_name_each_other_leader_are_not_asked_ceaselessly() {
        let ((pd, pd_address), (one, one_address), (two, two_address)) =
            (listen().await, listen().await, listen().await);
        let stores = [(1, &one_address), (2, &two_address)];
        let stores =
            json!({ "stores": stores.map(|(id, address)| json!({ "store": { "id": id, "address": address } })) });
        let peers = json!([{ "store_id": 1 }, { "store_id": 2 }]);
        let regions = json!({ "regions": [
            { "id": 9, "start_key": "", "end_key": "", "peers": peers, "leader": { "store_id": 1 } },
        ]});
        tokio::spawn(http::serve(pd, move |asked| {
            let answer = if asked.path() == PD_STORES { &stores } else { &regions };
            std::future::ready(http::Answer::json(answer))
        }));
        let asked = Arc::new(AtomicUsize::new(0));
        tokio::spawn(refuse(one, two_address, Arc::clone(&asked)));
        tokio::spawn(refuse(two, one_address, Arc::clone(&asked)));
        let client = Client::new(vec![pd_address], Duration::from_secs(1));
        let outcome = client.put("k", "v", Duration::from_secs(1)).await;
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
        // At once, to whom the first names, and after 50, 150, 350, 750 ms.
        let count = asked.load(Ordering::Relaxed);
        assert!((2..=6).contains(&count), "{count}");
    }
}
