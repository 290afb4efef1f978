"""The rules of the proxy, pure: what a request asks for, what a stream says, how far a hold reaches, what a call is."""
