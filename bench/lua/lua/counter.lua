local hits = ngx.shared.counters:incr("hits", 1, 0)
ngx.say(hits > 0 and "counted" or "lost")
