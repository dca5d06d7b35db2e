//! What components use: one file for each hook.

/// What a hook gives back goes into every closure. By hand, because deriving would ask for `T: Copy`.
macro_rules! handle {
    ($name:ident) => {
        impl<T: RowType> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T: RowType> Copy for $name<T> {}

        impl<T: RowType> std::fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

mod identity;
mod live_view;
mod order;
mod page_reads;
mod readers;
mod signal;
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
