use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! error_codes {
    ($($variant:ident = $text:literal, $meaning:literal;)*) => {
        /// The `code` of a Directus error, over WebSocket and REST.
        ///
        /// Complete for Directus 12.4.1; what it does not list (extensions have codes of their own, versions to come
        /// will have more) is [`Other`](Self::Other).
        ///
        /// ```
        /// # use leptos_directus::protocol::ErrorCode;
        /// assert_eq!(ErrorCode::from("FORBIDDEN"), ErrorCode::Forbidden);
        /// assert_eq!(ErrorCode::TokenExpired.as_str(), "TOKEN_EXPIRED");
        /// assert_eq!(ErrorCode::from("MY_EXTENSION").to_string(), "MY_EXTENSION");
        /// assert!(ErrorCode::KNOWN.contains(&ErrorCode::Forbidden));
        /// ```
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $text, "`: ", $meaning)] $variant,)*
            /// A code that is not in this list.
            Other(String),
        }

        impl ErrorCode {
            /// The codes of this list; [`Other`](Self::Other) is none.
            pub const KNOWN: &[ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The code as Directus writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for ErrorCode {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

error_codes! {
    AuthFailed = "AUTH_FAILED", "the credentials of an `auth` frame, or the handshake, were refused (WebSocket).";
    AuthTimeout = "AUTH_TIMEOUT", "no `auth` frame came in time (WebSocket).";
    InvalidCollection = "INVALID_COLLECTION", "no such collection, or none for this command (WebSocket).";
    AddonNotAvailable = "ADDON_NOT_AVAILABLE", "the licence offers no such add-on.";
    AddonNotFound = "ADDON_NOT_FOUND", "there is no such add-on.";
    AddonQuantityOutOfRange = "ADDON_QUANTITY_OUT_OF_RANGE", "more or fewer add-ons than can be had.";
    CollectionInactive = "COLLECTION_INACTIVE", "the collection is over the licence's limit and switched off.";
    ContainsNullValues = "CONTAINS_NULL_VALUES", "a field cannot become required while rows have no value in it.";
    ContentTooLarge = "CONTENT_TOO_LARGE", "the body is larger than the server takes.";
    EmailLimitExceeded = "EMAIL_LIMIT_EXCEEDED", "too many e-mails were sent.";
    Forbidden = "FORBIDDEN", "no right, or it does not exist: Directus does not tell which.";
    IllegalAssetTransformation = "ILLEGAL_ASSET_TRANSFORMATION", "the asset cannot be transformed like that.";
    ImportCyclicalRelation = "IMPORT_CYCLICAL_RELATION", "imported rows refer to each other in a circle.";
    InternalServerError = "INTERNAL_SERVER_ERROR", "Directus failed.";
    InvalidCredentials = "INVALID_CREDENTIALS", "wrong password or token.";
    InvalidForeignKey = "INVALID_FOREIGN_KEY", "a relation to a row that does not exist.";
    InvalidInvite = "INVALID_INVITE", "the invitation is not, or no longer, valid.";
    InvalidIp = "INVALID_IP", "this address may not log in.";
    InvalidOtp = "INVALID_OTP", "the one-time password is wrong or missing.";
    InvalidPayload = "INVALID_PAYLOAD", "the frame or body is not what Directus expects.";
    InvalidPathParameter = "INVALID_PATH_PARAMETER", "a part of the path is not what Directus expects.";
    InvalidProvider = "INVALID_PROVIDER", "the user logs in by another provider.";
    InvalidProviderConfig = "INVALID_PROVIDER_CONFIG", "the login provider is set up wrongly.";
    InvalidQuery = "INVALID_QUERY", "the query is not what Directus expects.";
    InvalidToken = "INVALID_TOKEN", "the token is none of Directus's.";
    LicenseInvalid = "LICENSE_INVALID", "the licence key is not valid.";
    LicenseManagedByEnv = "LICENSE_MANAGED_BY_ENV", "the licence key is set by the environment.";
    LicenseOfflineUnsupported = "LICENSE_OFFLINE_UNSUPPORTED", "the licence needs a connection.";
    LicenseResolveIncomplete = "LICENSE_RESOLVE_INCOMPLETE", "what is over the licence's limit is not settled.";
    LicenseServiceUnavailable = "LICENSE_SERVICE_UNAVAILABLE", "the licence server does not answer.";
    LimitExceeded = "LIMIT_EXCEEDED", "a limit of the licence or the settings is reached.";
    MethodNotAllowed = "METHOD_NOT_ALLOWED", "the path does not take this HTTP method.";
    NotNullViolation = "NOT_NULL_VIOLATION", "a required value is missing.";
    OutOfDate = "OUT_OF_DATE", "what was sent rests on an older state.";
    OutOfTime = "OUT_OF_TIME", "the request took too long.";
    RangeNotSatisfiable = "RANGE_NOT_SATISFIABLE", "the file has no such range.";
    RecordNotUnique = "RECORD_NOT_UNIQUE", "a row with this value is there already.";
    RequestsExceeded = "REQUESTS_EXCEEDED", "too many requests or messages: try later.";
    ResourceRestricted = "RESOURCE_RESTRICTED", "the licence does not include it.";
    RouteNotFound = "ROUTE_NOT_FOUND", "no such path.";
    ServiceUnavailable = "SERVICE_UNAVAILABLE", "a service does not answer, or Directus is under pressure: try later.";
    TokenExpired = "TOKEN_EXPIRED", "the token was valid once.";
    UnexpectedResponse = "UNEXPECTED_RESPONSE", "another service answered something unforeseen.";
    UnprocessableContent = "UNPROCESSABLE_CONTENT", "understood, but it cannot be done.";
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", "the body's type is not taken.";
    UserSuspended = "USER_SUSPENDED", "the user may not log in.";
    ValueOutOfRange = "VALUE_OUT_OF_RANGE", "the number does not fit the field.";
    ValueTooLong = "VALUE_TOO_LONG", "the text does not fit the field.";
    VersionHashMismatch = "VERSION_HASH_MISMATCH", "the item changed since the version was made.";
}

impl From<String> for ErrorCode {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_code_is_read_back_as_itself() {
        assert!(ErrorCode::KNOWN.len() > 40);
        for code in ErrorCode::KNOWN {
            assert_eq!(&ErrorCode::from(code.as_str()), code);
        }
        assert_eq!(ErrorCode::from("NEW"), ErrorCode::Other("NEW".to_owned()));
    }
}
