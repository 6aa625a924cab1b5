package manual

import "slices"

// Topic groups the codes by what they are about.
type Topic string

// The topics, in the order in which they are shown.
const (
	TopicRequest    Topic = "request"
	TopicCredential Topic = "credential"
	TopicAccount    Topic = "account"
	TopicCredit     Topic = "credit"
	TopicModel      Topic = "model"
	TopicProvider   Topic = "provider"
	TopicOAuth      Topic = "oauth"
	TopicServer     Topic = "server"
)

var topics = []Topic{TopicRequest, TopicCredential, TopicAccount, TopicCredit, TopicModel, TopicProvider, TopicOAuth, TopicServer}

// Code explains one error code.
type Code struct {
	Name     string // as answers carry it; never renamed
	Topic    Topic
	Statuses []int  // HTTP; more than one where protocols want it so
	Means    string // what happened
	Do       string // what helps
}

// find returns the code called name.
func find(name string) (Code, bool) {
	i := slices.IndexFunc(Codes, func(c Code) bool { return c.Name == name })
	if i < 0 {
		return Code{}, false
	}
	return Codes[i], true
}

func on(statuses ...int) []int { return statuses }

// Codes are all codes that an answer can carry, by topic and then by name.
var Codes = []Code{
	{"confirmation_required", TopicRequest, on(422), "The change is a large one, so it is made only when it is asked for twice.", "Look at what its preview says, then send it again with confirm: true."},
	{"conflict", TopicRequest, on(409), "What you asked for does not fit what is there: it exists already with other values, or you have the most that is possible.", "Read the message, look at the present state, then change the request or delete something first."},
	{"cross_site_request", TopicRequest, on(403), "A form was sent from the page of another site.", "Open the page of this service itself and send the form from there."},
	{"edited_elsewhere", TopicRequest, on(412), "Somebody else changed the thing after you had read it, so your change is based on what is no longer there.", "Read it again, repeat your change on what it is now, and send the new ETag as If-Match."},
	{"headers_too_large", TopicRequest, on(431), "The headers are larger than 32 KiB together.", "Send fewer or shorter ones; a browser may have collected large cookies."},
	{"idempotency_key_in_use", TopicRequest, on(409), "The first request with this Idempotency-Key is still being worked on.", "Wait as long as Retry-After says, then repeat the request with the same key: it gets the first one's answer."},
	{"idempotency_key_required", TopicRequest, on(400), "This change must not happen twice by accident, so it takes an Idempotency-Key header.", "Send a value of your own of up to 255 characters, and the same one when you repeat the request."},
	{"impersonation_read_only", TopicAccount, on(403), "The token is that of an administrator who looks as somebody else, and this would change something.", "Change nothing in the name of others; end the impersonation and use your own token."},
	{"idempotency_key_reuse", TopicRequest, on(422), "The Idempotency-Key was used before, with another request.", "Use a new key for each change; repeat one only with the same body."},
	{"in_use", TopicRequest, on(409), "Something else still refers to the thing, so it cannot be deleted.", "Change or delete what the message names first."},
	{"invalid_cursor", TopicRequest, on(400), "The cursor of a list is not one that this list gave, or it was changed on the way.", "Ask for the first page without a cursor and follow the cursors of its answers."},
	{"invalid_request", TopicRequest, on(400, 401), "The request cannot be read: broken JSON, a field of the wrong type, a missing or doubled parameter, or a body that ended too early. The userinfo endpoint uses it with status 401 for a request without a token.", "Correct what the message names and send the request again. Repeating it unchanged does not help."},
	{"invalid_state", TopicRequest, on(409), "The thing is in a state from which this is not possible, or it belongs to the configuration of the server.", "Read its present state, and take the step that leads there first."},
	{"last_super_admin", TopicRequest, on(409), "The change would leave nobody who can sign in and may do everything.", "Give somebody else the role super_admin, without an end, then repeat the change."},
	{"method_not_allowed", TopicRequest, on(405), "The address exists, but not for this HTTP method.", "Use one of the methods that the Allow header lists."},
	{"not_found", TopicRequest, on(404), "There is nothing at this address, or the thing with this id is not yours.", "Check the path and the id. Things of other accounts are answered in the same way."},
	{"operation_unsupported", TopicRequest, on(400), "The model does not do what this path is for, or has no price for it.", "Use a model that does: GET /v1/models lists them and what they can do."},
	{"parameter_conflict", TopicRequest, on(400), "The model does not take two of the parameters together.", "Send the one that matters to you and leave the other out."},
	{"parameter_out_of_range", TopicRequest, on(400), "A parameter is smaller or larger than what is allowed.", "Choose a value within the range that the message gives."},
	{"rate_limit_exceeded", TopicRequest, on(429), "You, or the API key, have reached a limit: requests or tokens in a minute, or calls at once. details.limit names it.", "Wait for the time in Retry-After, or ask for less at once."},
	{"request_too_large", TopicRequest, on(413), "The body is larger than this endpoint, or the model provider, takes.", "Send less, for example fewer messages or smaller images."},
	{"self_approval", TopicRequest, on(403), "You asked for this yourself, or it is about you, so somebody else has to decide.", "Ask another administrator to approve or deny it; who asked can withdraw it. The approval says which permission is needed."},
	{"unknown_field", TopicRequest, on(422), "The body has a field that this endpoint does not know.", "Correct its spelling or remove it. Nothing was changed."},
	{"unsupported_media_type", TopicRequest, on(415), "The body has a content type or a compression that this endpoint does not read.", "Send it uncompressed with Content-Type: application/json."},
	{"unsupported_parameter", TopicRequest, on(400), "A parameter is not possible with this model or on this endpoint.", "Remove the parameter that the message names, or use a model that has it."},
	{"uri_too_long", TopicRequest, on(414), "The address with its query is longer than 8 KiB.", "Send the values in the body."},
	{"validation_error", TopicRequest, on(422), "The request can be read, but a field breaks a rule.", "Correct the fields that details.fields lists and send the request again. Nothing was changed."},
	{"wrong_host", TopicRequest, on(421), "The request names a host that this server does not serve.", "Use the configured address. If you run the server behind a proxy, set REPHLO_API_URL and REPHLO_IDP_URL to the public addresses and let the proxy pass the Host header on."},

	{"api_key_expired", TopicCredential, on(401), "The API key has reached the end of its time.", "Create a new key and use it instead."},
	{"api_key_invalid", TopicCredential, on(401), "The API key is not one of ours, or a part of it is missing.", "Check that it was copied completely and without blanks, or create a new one."},
	{"api_key_paused", TopicCredential, on(403), "The API key is paused by its owner.", "Resume it, or use another key."},
	{"api_key_revoked", TopicCredential, on(401), "The API key was revoked.", "Create a new key and use it instead."},
	{"forbidden", TopicCredential, on(403), "We know who you are, but this is not allowed with what you sent. An API key, for one, cannot manage an account.", "Sign in and use an access token, or ask somebody who may do it."},
	{"insufficient_scope", TopicCredential, on(403), "The access token or API key is good, but does not cover this.", "Ask for the scope that the message or the WWW-Authenticate header names, or create a key that has it."},
	{"invalid_token", TopicCredential, on(401), "The access token is not valid: it is damaged, revoked, or made for another service.", "Sign in again to get a new one."},
	{"model_not_allowed_for_key", TopicCredential, on(403), "This key may not call this model. A test key can only call the test models.", "Use a live key, or a test model such as test-echo."},
	{"token_expired", TopicCredential, on(401), "The access token has reached the end of its time.", "Get a new one with the refresh token, or sign in again."},
	{"unauthorized", TopicCredential, on(401), "The request has no credential, or the e-mail address and password do not belong together.", "Send an access token or API key as Authorization: Bearer, or check address and password."},

	{"account_banned", TopicAccount, on(403), "The account is closed.", "Ask the operator of this service."},
	{"account_suspended", TopicAccount, on(403), "The account is suspended for now.", "Ask the operator of this service until when and why."},
	{"code_invalid", TopicAccount, on(401), "The code of the authenticator app, the recovery code or the current password is wrong, or the code was used before.", "Wait for the next code, or use another recovery code or the right password. Check that the clock of the phone is right."},
	{"email_not_verified", TopicAccount, on(403), "The e-mail address of the account is not confirmed yet.", "Follow the link in the mail that was sent to it, or ask for a new one."},
	{"email_taken", TopicAccount, on(409), "The address that you wanted to move to has become somebody else's meanwhile.", "Use another address."},
	{"insufficient_user_authentication", TopicAccount, on(401), "What you asked for needs a sign-in with a second factor, and yours was without.", "Sign in again with a second factor; an app asks for it with acr_values=mfa."},
	{"ip_not_allowed", TopicAccount, on(403), "One of your roles may administer only from certain networks, and you are in another one.", "Use an allowed network, or ask a super_admin to add yours to the list."},
	{"link_confirmation_required", TopicAccount, on(409), "The account elsewhere has the e-mail address of an account here, but nobody has linked the two.", "Sign in to the account here in the way you are used to; the page then offers to link them."},
	{"link_expired", TopicAccount, on(410), "The link, or the sign-in that it belongs to, took too long.", "Ask for a new link, or start the sign-in again from the app."},
	{"link_used", TopicAccount, on(410), "The link works once and was used already.", "Sign in; if that does not work, ask for a new link."},
	{"passkey_refused", TopicAccount, on(401), "The passkey was not accepted: it is unknown here, the question was older than five minutes, or the answer does not fit it.", "Try again, or use another way to sign in."},
	{"password_too_common", TopicAccount, on(422), "The password is on the list of common passwords, so it would be guessed soon.", "Choose another. A sentence of several words is good."},
	{"password_too_short", TopicAccount, on(422), "The password has fewer than 8 characters.", "Use 8 or more; 15 is better."},
	{"reauthentication_required", TopicAccount, on(401), "The sign-in is too old for a change of this kind.", "Sign in again and repeat the request within five minutes."},
	{"session_idle", TopicAccount, on(401), "You have not administered for longer than your roles allow, or signed in more than 12 hours ago.", "Sign in again and repeat the request."},
	{"setup_token_invalid", TopicAccount, on(401), "The set-up link was used already, or is older than an hour.", "Restart Rephlo or run rephlo admin create EMAIL for another link."},
	{"sign_in_busy", TopicAccount, on(503), "More people are signing in at this moment than the server checks passwords for at once.", "Try again in a few seconds."},
	{"social_sign_in_failed", TopicAccount, on(502), "The service that you wanted to sign in with does not answer, or its answer was not right.", "Try again, or sign in in another way. An operator finds the reason in the log under the request id."},
	{"too_many_attempts", TopicAccount, on(429), "Too many wrong passwords, keys or tokens came from you or your address.", "Check what you send, then wait for the time in Retry-After."},
	{"too_many_passkeys", TopicAccount, on(409), "You have as many passkeys as an account can have.", "Remove one that you do not use."},
	{"username_taken", TopicAccount, on(409), "Somebody else has this username.", "Choose another one."},

	{"already_subscribed", TopicCredit, on(409), "There is a paid subscription already, and nobody has two.", "Change its plan instead."},
	{"app_budget_exceeded", TopicCredit, on(402), "The connected app has used what you let it use this month. Nothing was sent to a model and nothing was charged.", "Raise the limit of the app in your account, or wait for the next month (UTC)."},
	{"credits_reserved", TopicCredit, on(429), "You have the credits for this request, but other calls of yours that still run hold them.", "Wait until one of them has ended, or add credits."},
	{"daily_credit_limit", TopicCredit, on(429), "The credits that your plan or the API key allows for a day are used up, or too few of them are left for this request. Nothing was charged.", "Wait for the next day (UTC), ask for less, or raise the limit of the key."},
	{"feature_not_in_plan", TopicCredit, on(403), "Your plan does not include what you asked for.", "Look at GET /v1/subscription-plans for one that does, or ask for less."},
	{"insufficient_credits", TopicCredit, on(402), "The request may cost more than the credits that are left. Nothing was sent to a model and nothing was charged.", "Add credits, or ask for less, for example with a lower max_tokens. The details say what is required and what is available."},
	{"key_budget_exceeded", TopicCredit, on(402), "The API key has used its budget, or too little of it is left for this request. Nothing was charged.", "Raise the budget of the key, use another one, or ask for less."},
	{"ledger_refused", TopicCredit, on(503), "The books would not have been right after this call, so it was not made. Nothing was charged.", "Report the request id. Operators: run rephlo ledger verify."},
	{"payment_error", TopicCredit, on(402), "The bank or the payment service declined the payment. Nothing has changed.", "Use another payment method and do it again."},
	{"payments_unavailable", TopicCredit, on(503), "No payment service is connected to this installation.", "Ask its operator, who can give you the plan or connect one."},
	{"preview_expired", TopicCredit, on(422), "The preview of this change is older than ten minutes, or the subscription has changed since.", "Ask for a new preview and confirm that one."},

	{"context_length_exceeded", TopicModel, on(400), "The messages and the longest possible answer together do not fit into the model's context.", "Send fewer or shorter messages, lower the output limit, or use a model with a larger context."},
	{"model_access_restricted", TopicModel, on(403), "Your plan does not include this model.", "Use another model, or a plan that details.requiredTiers names."},
	{"model_not_found", TopicModel, on(404), "No model has this name.", "Check the spelling; GET /v1/models lists the models."},
	{"model_retired", TopicModel, on(404), "The model was offered once and is not any more.", "Use another; GET /v1/models lists the models."},
	{"model_unavailable", TopicModel, on(503), "The model exists, but cannot be called at the moment: its provider is off, or lacks a key or a price.", "Try again after the time in Retry-After, or use another model."},

	{"content_policy", TopicProvider, on(400), "The model provider refused the content of the request.", "Change the content. Repeating the request unchanged does not help."},
	{"invalid_image", TopicProvider, on(400), "The model provider could not use an image of the request.", "Send a JPEG, PNG, GIF or WebP file that is whole and not too large."},
	{"provider_auth_failed", TopicProvider, on(502), "The model provider refused this server's own key. You did nothing wrong.", "Tell the operator. Operators: replace the key of the provider."},
	{"upstream_error", TopicProvider, on(502), "The model provider failed, or its answer broke off.", "Send the request again. In a stream, what was delivered before the error counts."},
	{"upstream_rate_limited", TopicProvider, on(429), "The model provider is at its limit.", "Try again after the time in Retry-After, or use another model."},
	{"upstream_timeout", TopicProvider, on(504), "The model provider did not answer in time.", "Send the request again, or ask for less."},

	{"access_denied", TopicOAuth, on(400), "The person who was asked did not allow it.", "Explain what the access is for and let them start again."},
	{"authorization_pending", TopicOAuth, on(400), "Nobody has typed the device's code and decided yet.", "Ask again after the interval."},
	{"client_exists", TopicOAuth, on(409), "There is an app with this client id already.", "Choose another id, or change the app that is there."},
	{"client_has_no_secret", TopicOAuth, on(409), "This app is public, or proves itself by its own key, so that there is no secret to change.", "Nothing has to be done; replace its keys instead."},
	{"client_in_use", TopicOAuth, on(409), "People are signed in with the app that you want to delete. details.liveRefreshTokens says how often.", "Send confirm=true to sign them out and delete it."},
	{"client_is_built_in", TopicOAuth, on(409), "The app is part of the product and would come back at the next start.", "Disable it instead."},
	{"expired_token", TopicOAuth, on(400), "The device's code was not typed within 10 minutes.", "Start again with a new code."},
	{"invalid_client", TopicOAuth, on(401), "The client id is unknown, or its secret or other proof is wrong.", "Check client_id and the way in which the app proves who it is."},
	{"invalid_client_metadata", TopicOAuth, on(400, 422), "A setting of the app breaks a rule.", "Correct the setting that the message names."},
	{"invalid_dpop_proof", TopicOAuth, on(400, 401), "The DPoP proof is missing, old, was used before, or is not for this request, this access token or this key.", "Make a new proof for each request, with the key that the tokens are bound to and the clock set right."},
	{"invalid_grant", TopicOAuth, on(400), "The code or refresh token is wrong, expired, revoked or was used before, or code_verifier or redirect_uri does not match it.", "Start the sign-in again. Use each code and each refresh token once."},
	{"invalid_redirect_uri", TopicOAuth, on(400), "A redirect URI of an app that registers itself is not allowed.", "Register https addresses; for a program on the user's machine loopback http or a scheme of a reverse domain name."},
	{"invalid_resource", TopicOAuth, on(422), "The settings of an API that takes our tokens break a rule.", "Correct what the message names."},
	{"invalid_scope", TopicOAuth, on(400), "A scope is unknown, or goes beyond what the user granted.", "Ask only for scopes that the app is registered for and the user agreed to."},
	{"invalid_target", TopicOAuth, on(400), "The resource parameter names a service that is unknown, or that the sign-in did not cover.", "Send the address of this API as resource, at the authorization endpoint too."},
	{"resource_exists", TopicOAuth, on(409), "Another API has this address, or this scope, already, or the address is one of ours.", "Choose another, or change the one that is there."},
	{"slow_down", TopicOAuth, on(400, 429), "Too many failed requests came from this address; or a device asked for its tokens before its interval was over (400).", "Wait for the time in Retry-After before the next. A device makes its interval 5 seconds longer."},
	{"temporarily_unavailable", TopicOAuth, on(503), "The Identity Provider cannot reach its storage or has no key to sign with. Nothing was used up.", "Send the same request again in a few seconds."},
	{"unauthorized_client", TopicOAuth, on(400), "The app is not registered for this way of signing in.", "Use a grant type that the app is registered for, or change its registration."},
	{"unknown_client", TopicOAuth, on(404), "There is no app with this client id.", "Check the id."},
	{"unknown_resource", TopicOAuth, on(404), "There is no API with this address among those that take our tokens.", "Check the address; in a path it has to be percent-encoded."},
	{"unsupported_grant_type", TopicOAuth, on(400), "The token endpoint does not know this grant_type.", "Use one of those that /.well-known/openid-configuration lists."},
	{"use_dpop_nonce", TopicOAuth, on(400), "The DPoP proof lacks this server's nonce, or has an old one.", "Make a new proof with the value of the DPoP-Nonce header as nonce and send the request again. Libraries do so by themselves."},

	{"internal_server_error", TopicServer, on(500), "Something went wrong on our side.", "Try again. If it stays, report the request id; it leads the operator to the cause."},
	{"maintenance", TopicServer, on(503), "The operator is working on the service, and it answers administrators only.", "Try again later; Retry-After says when it is worth it."},
	{"overloaded", TopicServer, on(503), "The server is handling as much as it can.", "Try again after the time in Retry-After, with fewer calls at once."},
	{"server_shutting_down", TopicServer, on(503), "The server is restarting. The calls that ran were finished or settled.", "Try again in a few seconds."},
	{"service_unavailable", TopicServer, on(503), "The server cannot answer right now, mostly because its database does not.", "Try again after the time in Retry-After. Operators: rephlo doctor and /health/ready name the part that fails."},
	{"storage_full", TopicServer, on(503), "The disk of the server is full, so no call could be recorded and none is started.", "Tell the operator. Operators: free space; the server goes on by itself."},
}
