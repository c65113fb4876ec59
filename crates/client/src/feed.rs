//! List, then watch, for ever: the changes of a collection, resumed where they were broken off, listed anew when the server has
//! forgotten that place. Keeps no object; [`crate::cache`] does.

mod reading;

use std::time::Duration;

use futures::{TryStreamExt as _, pin_mut};
use http::{Request, header};
use kube::{
    Resource,
    core::{Status, WatchEvent},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::queue::{self, Backoff};
use reading::Reading;

/// The objects of one page of a list.
const PAGE: usize = 500;
/// How long a watch may say nothing, not even a bookmark, before it is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// The form in which objects are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Form {
    /// As they are.
    #[default]
    Whole,
    /// Their metadata alone.
    Metadata,
}

/// What is followed.
#[derive(Clone)]
pub struct Source {
    /// The door.
    pub client: kube::Client,
    /// The collection, such as `/api/v1/pods`.
    pub path: String,
    /// A label selector, or nothing.
    pub labels: String,
    /// A field selector, or nothing.
    pub fields: String,
    /// The form of the objects.
    pub form: Form,
}

/// What happened. The revision is the resourceVersion up to which the collection is known afterwards.
#[derive(Debug)]
pub enum Event<T> {
    /// This is all there is, whatever there was before.
    Replaced(Vec<T>, u64),
    /// An object is new or another.
    Applied(T, u64),
    /// An object is gone, or does not match the selectors any more.
    Deleted(T, u64),
    /// Nothing happened up to here.
    Reached(u64),
}

/// What has a resourceVersion.
pub trait Revisioned: DeserializeOwned + Clone + Send + 'static {
    /// The resourceVersion as a number; the API promises that they compare. Zero when there is none.
    fn revision(&self) -> u64;
}

impl<K: Resource + DeserializeOwned + Clone + Send + 'static> Revisioned for K {
    fn revision(&self) -> u64 {
        parse_revision(self.meta().resource_version.as_deref())
    }
}

/// A resourceVersion as a number.
pub fn parse_revision(version: Option<&str>) -> u64 {
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[derive(Deserialize)]
struct Page<T> {
    metadata: PageMeta,
    /// Programs in Go write `null` where there is none.
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    r#continue: String,
}

#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("cannot list {path}")]
    List {
        path: String,
        #[source]
        source: kube::Error,
    },
    #[error("cannot watch {path}")]
    Watch {
        path: String,
        #[source]
        source: kube::Error,
    },
    #[error("the watch of {path} ended: {}", .status.message)]
    Refused { path: String, status: Box<Status> },
    #[error("the watch of {path} told of an object that cannot be read")]
    Unreadable { path: String },
}

impl FeedError {
    /// Whether the place to resume from is no longer known, or leads to nothing that can be read.
    fn needs_list(&self) -> bool {
        match self {
            Self::Refused { status, .. } => status.code == 410,
            Self::Watch { source: kube::Error::Api(status), .. } => status.code == 410,
            Self::Unreadable { .. } => true,
            Self::Watch { .. } | Self::List { .. } => false,
        }
    }

    /// Whether there is an object for which the types are too strict.
    fn needs_patience(&self) -> bool {
        match self {
            // A line that is no event of the type is taken for a Status by the client library, in which nothing stands.
            Self::Watch { source: kube::Error::Api(status), .. } => status.code == 0,
            Self::Watch { source, .. } | Self::List { source, .. } => matches!(source, kube::Error::SerdeError(_)),
            Self::Unreadable { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}

/// Tells `sink` of everything that happens, until it is dropped. `keep` drops from each object what nobody needs, as soon as it is decoded.
pub async fn follow<T: Revisioned>(source: Source, keep: impl Fn(&mut T) + Send, mut sink: impl FnMut(Event<T>) + Send) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(10));
    let mut reached = None;
    let mut patient = false;
    loop {
        let from = reached;
        let ended = match patient {
            true => round::<T, true>(&source, &mut reached, &keep, &mut sink).await,
            false => round::<T, false>(&source, &mut reached, &keep, &mut sink).await,
        };
        if from.is_some() && reached > from {
            backoff.reset();
        }
        let Err(error) = ended else {
            patient = false;
            continue;
        };
        if error.needs_list() {
            reached = None;
        }
        patient = error.needs_patience();
        tracing::debug!(error = &error as &dyn std::error::Error, "a watch is broken");
        queue::pause(backoff.next()).await;
    }
}

/// One list if no place was reached yet, else one watch from there.
async fn round<T: Revisioned, const PATIENT: bool>(
    source: &Source,
    reached: &mut Option<u64>,
    keep: &impl Fn(&mut T),
    sink: &mut impl FnMut(Event<T>),
) -> Result<(), FeedError> {
    match reached {
        Some(place) => watch::<T, PATIENT>(source, place, keep, sink).await,
        None => {
            let (objects, revision) = list::<T, PATIENT>(source, keep).await?;
            sink(Event::Replaced(objects, revision));
            *reached = Some(revision);
            Ok(())
        }
    }
}

async fn list<T: Revisioned, const PATIENT: bool>(source: &Source, keep: &impl Fn(&mut T)) -> Result<(Vec<T>, u64), FeedError> {
    let mut objects = Vec::new();
    let mut token = String::new();
    loop {
        let mut query = source.query();
        query.push_str(&format!("&limit={PAGE}"));
        if !token.is_empty() {
            query.push_str(&format!("&continue={}", escape(&token)));
        }
        let page: Result<Page<Reading<T, PATIENT>>, _> =
            source.client.request(source.request(&query, "PartialObjectMetadataList")).await;
        let page = page.map_err(|error| FeedError::List { path: source.path.clone(), source: error })?;
        objects.extend(page.items.into_iter().flatten().filter_map(|reading| {
            let mut object = reading.0?;
            keep(&mut object);
            Some(object)
        }));
        token = page.metadata.r#continue;
        if token.is_empty() {
            objects.shrink_to_fit();
            return Ok((objects, parse_revision(Some(&page.metadata.resource_version))));
        }
    }
}

async fn watch<T: Revisioned, const PATIENT: bool>(
    source: &Source,
    place: &mut u64,
    keep: &impl Fn(&mut T),
    sink: &mut impl FnMut(Event<T>),
) -> Result<(), FeedError> {
    let broken = |error| FeedError::Watch { path: source.path.clone(), source: error };
    let query = format!("{}&watch=true&allowWatchBookmarks=true&resourceVersion={place}", source.query());
    let request = source.request(&query, "PartialObjectMetadata");
    let events = source.client.request_events::<Reading<T, PATIENT>>(request).await.map_err(broken)?;
    pin_mut!(events);
    loop {
        let next = match tokio::time::timeout(SILENCE_MAX, events.try_next()).await {
            Ok(next) => next.map_err(broken)?,
            Err(_) => return Ok(()),
        };
        let Some(event) = next else { return Ok(()) };
        let (reading, told): (_, fn(T, u64) -> Event<T>) = match event {
            WatchEvent::Added(reading) | WatchEvent::Modified(reading) => (reading, Event::Applied),
            WatchEvent::Deleted(reading) => (reading, Event::Deleted),
            WatchEvent::Bookmark(bookmark) => {
                *place = parse_revision(Some(&bookmark.metadata.resource_version));
                sink(Event::Reached(*place));
                continue;
            }
            WatchEvent::Error(status) => return Err(FeedError::Refused { path: source.path.clone(), status }),
        };
        let mut object = reading.0.ok_or_else(|| FeedError::Unreadable { path: source.path.clone() })?;
        *place = object.revision();
        keep(&mut object);
        sink(told(object, *place));
    }
}

impl Source {
    /// All objects of a kind, in every namespace or in one.
    pub fn of<K: Resource>(client: kube::Client, kind: &K::DynamicType, namespace: Option<&str>) -> Self {
        let path = K::url_path(kind, namespace);
        Self { client, path, labels: String::new(), fields: String::new(), form: Form::Whole }
    }

    fn query(&self) -> String {
        let mut query = String::new();
        for (name, value) in [("labelSelector", &self.labels), ("fieldSelector", &self.fields)] {
            if !value.is_empty() {
                query.push_str(&format!("&{name}={}", escape(value)));
            }
        }
        query
    }

    fn request(&self, query: &str, metadata: &str) -> Request<Vec<u8>> {
        let mut request = Request::new(Vec::new());
        // The path comes from a kind and the query is escaped, so that this always parses.
        *request.uri_mut() = format!("{}?{}", self.path, query.trim_start_matches('&')).parse().unwrap_or_default();
        if self.form == Form::Metadata
            && let Ok(accept) = format!("application/json;as={metadata};g=meta.k8s.io;v=v1").parse()
        {
            request.headers_mut().insert(header::ACCEPT, accept);
        }
        request
    }
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    })
}
