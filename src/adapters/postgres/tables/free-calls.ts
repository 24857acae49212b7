/*
 * A watched call is free when it names no owner, or one that has no row any more: nobody rewrites the calls of an
 * instance that is gone. Which owners are gone is found by going from owner to owner through the index, one step for
 * each, however many calls they have.
 */

/** The owners of watched calls that are no instances. */
export const deadOwners = `
  with recursive owners as (
    (select owner_token from calls where watched and owner_token is not null order by owner_token limit 1)
    union all
    select (select c.owner_token from calls c where c.watched and c.owner_token > o.owner_token order by c.owner_token limit 1)
    from owners o where o.owner_token is not null)
  select owner_token from owners o where o.owner_token is not null and not exists (select 1 from instances i where i.token = o.owner_token)`;

/** Of a row of `calls`. */
export const isFree = `watched and (owner_token is null or owner_token = any(array(${deadOwners})))`;
