-- resty.sha: there is nothing in it, in OpenResty neither.

return { _VERSION = "0.17" }
