-- Forgets a notification.
-- KEYS  the notification
-- ARGV  2 id
-- Returns 1, -1 when there is none.
local n = call('HMGET', KEYS[1], 'state', 'host')
if not n[1] then
  return -1
end
close(ARGV[2], n[2], n[1])
call('DEL', KEYS[1])
return 1
