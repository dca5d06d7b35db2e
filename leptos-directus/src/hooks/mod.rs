//! What components use: one file for each hook.

mod identity;
mod live_view;
mod subscription;
mod use_directus;
mod use_directus_auth;
mod use_realtime_aggregate;
mod use_realtime_collection;
mod use_realtime_infinite;
mod use_realtime_item;
mod write;

pub use live_view::{IntoQuery, RowType};
pub use subscription::{Message, SubscribeOptions, Subscribing, Subscription};
pub use use_directus::{Directus, DirectusOptions, provide_directus, use_directus};
pub use use_directus_auth::{UseDirectusAuthReturn, User, use_directus_auth};
pub use use_realtime_aggregate::{
    UseRealtimeAggregateOptions, UseRealtimeAggregateReturn, use_realtime_aggregate,
    use_realtime_aggregate_with_options,
};
pub use use_realtime_collection::{
    UseRealtimeCollectionOptions, UseRealtimeCollectionReturn, use_realtime_collection,
    use_realtime_collection_with_options,
};
pub use use_realtime_infinite::{
    UseRealtimeInfiniteOptions, UseRealtimeInfiniteReturn, use_realtime_infinite, use_realtime_infinite_with_options,
};
pub use use_realtime_item::{
    IntoKey, UseRealtimeItemReturn, use_realtime_item, use_realtime_item_with_options, use_realtime_singleton,
    use_realtime_singleton_with_options,
};
pub use write::Write;

#[cfg(feature = "native")]
mod native;
#[cfg(feature = "native")]
pub use native::{LiveRows, NativeOptions, ReadCounts, Snapshot};
